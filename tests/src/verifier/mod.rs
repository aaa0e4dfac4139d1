//! The one verifier: joins what was committed with what can be read, and names what is wrong in the words of the Jepsen
//! checker for Kafka.
//!
//! | word | meaning |
//! | --- | --- |
//! | lost | committed, and not in its topic |
//! | phantom | in a topic, and rolled back or never written |
//! | altered | in another topic, or with another key, value or transaction than was written |
//! | inconsistent | repeated with another position: its consumers cannot recognise it |
//! | non-monotonic | first occurrences out of commit order, by key or by partition |
//! | unsafe checkpoint | confirmed to `PostgreSQL` before it could be read |
//! | needless repeat | repeated by a fault although it had been confirmed before the fault |
//!
//! Duplicates are no violation: they are counted. A record that was published from a dead letter comes late, behind others of its
//! partition, and was confirmed when the letter was committed: it is held against the records of its key alone.

mod checkpoint;
mod order;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use outbox_decoder::Lsn;

pub use report::Report;

use crate::consumer::Record;
use crate::history::{History, WrittenRow};
use crate::sampler::Sample;

/// A stretch of time without Kafka, in positions: nothing that committed after `from` can be in a topic, so none of it
/// may be confirmed by `confirmed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// End of the WAL just after the brokers stood still.
    pub from: Lsn,
    /// What was confirmed just before they came back.
    pub confirmed: Lsn,
}

/// Everything that the verifier looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// What the writers did.
    pub history: Option<&'a History>,
    /// Every record of every topic, in the order of each partition.
    pub records: &'a [Record],
    /// What was seen all along.
    pub samples: &'a [Sample],
    /// What was seen after each fault, before the relay went on.
    pub faults: &'a [Sample],
    /// How often the relay gave up a producer; what was in flight to the brokers then may be there twice.
    pub rebuilds: usize,
    /// Stretches without Kafka.
    pub outages: &'a [Outage],
    /// Rows may be set aside: one whose relay is killed before its letter is written comes again, behind later ones of other
    /// keys. The order is that of each key then, and of no partition.
    pub sets_aside: bool,
}

/// A record with what its headers say.
#[derive(Debug, Clone, Copy)]
struct Seen<'a> {
    record: &'a Record,
    id: &'a str,
    position: Position,
    is_first: bool,
    /// Published from a dead letter.
    is_redriven: bool,
}

/// The `position` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    commit: Lsn,
    ordinal: u32,
    xid: u32,
}

impl Position {
    fn parse(text: &str) -> Option<Position> {
        let mut parts = text.split('-');
        let commit = Lsn::new(u64::from_str_radix(parts.next()?, 16).ok()?);
        let ordinal = u32::from_str_radix(parts.next()?, 16).ok()?;
        let xid = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Position { commit, ordinal, xid })
    }
}

/// Judges one run.
pub fn verify(evidence: Evidence<'_>) -> Report {
    let mut report = Report::default();
    let none = History::default();
    let history = evidence.history.unwrap_or(&none);
    let written: HashMap<&str, &WrittenRow> = history.committed.iter().map(|row| (row.id.as_str(), row)).collect();
    let seen = read(evidence.records, &mut report);
    let firsts: HashMap<&str, &Seen<'_>> = seen
        .iter()
        .filter(|seen| seen.is_first)
        .map(|seen| (seen.id, seen))
        .collect();

    report.runs_max = 1 + evidence.faults.len() + evidence.rebuilds;
    report.rows = history.committed.len();
    report.records = evidence.records.len();
    report.duplicates = seen.iter().filter(|seen| !seen.is_first).count();
    for row in history
        .committed
        .iter()
        .filter(|row| !firsts.contains_key(row.id.as_str()))
    {
        report
            .lost
            .push(format!("{} of key {} in transaction {}", row.id, row.key, row.xid));
    }
    for seen in &seen {
        match written.get(seen.id) {
            None => report.phantom.push(phantom(seen, history)),
            Some(row) => report.altered.extend(altered(seen, row)),
        }
        if firsts.get(seen.id).is_some_and(|first| first.position != seen.position) {
            report.inconsistent.push(place(seen));
        }
    }
    order::by_key(history, &firsts, &mut report);
    order::by_partition(&seen, evidence.sets_aside, &mut report);
    checkpoint::judge(&evidence, &seen, &mut report);
    report
}

fn read<'a>(records: &'a [Record], report: &mut Report) -> Vec<Seen<'a>> {
    let mut ids = std::collections::HashSet::new();
    let mut all = Vec::with_capacity(records.len());
    for record in records {
        let id = record.header("id");
        match id.zip(record.header("position").and_then(Position::parse)) {
            None => report.altered.push(format!(
                "{} {} offset {} has no id or no position",
                record.topic, record.partition, record.offset
            )),
            Some((id, position)) => all.push(Seen {
                record,
                id,
                position,
                is_first: ids.insert(id),
                is_redriven: record.header("redrive").is_some(),
            }),
        }
    }
    all
}

fn phantom(seen: &Seen<'_>, history: &History) -> String {
    let why = if history.rolled_back.contains(seen.id) {
        "was rolled back"
    } else {
        "was never written"
    };
    format!("{} {why}", place(seen))
}

fn altered(seen: &Seen<'_>, row: &WrittenRow) -> Option<String> {
    let record = seen.record;
    let what = if record.topic != row.topic {
        "topic"
    } else if record.key.as_deref() != Some(row.key.as_bytes()) {
        "key"
    } else if record.value.as_deref() != Some(row.payload.as_bytes()) {
        "value"
    } else if seen.position.xid != row.xid {
        "transaction"
    } else {
        return None;
    };
    Some(format!("{} has another {what} than was written", place(seen)))
}

fn place(seen: &Seen<'_>) -> String {
    let Record {
        topic,
        partition,
        offset,
        ..
    } = seen.record;
    let Position { commit, ordinal, .. } = seen.position;
    format!(
        "{} ({topic} {partition} offset {offset}, commit {commit} row {ordinal})",
        seen.id
    )
}

//! The rows of the outbox tables, compared with what Kafka holds.

use std::collections::BTreeSet;

use outbox_decoder::{MappingError, Timestamp, TopicName};
use serde::Serialize;

use super::super::Failure;
use super::ids::{Ids, fingerprint};
use super::kafka::too_many;
use super::outboxes::Outbox;
use super::reader::Reader;
use crate::fault::{Fault, policy};
use crate::replay::ReadRow;

/// So many rows that cannot become records are named.
const DEFECTS_NAMED_MAX: usize = 10;

/// The rows of one table, without their content.
#[derive(Debug)]
pub(super) struct Gathered {
    table: String,
    by: String,
    rows: Vec<u128>,
    /// When each was written, in microseconds since the Unix epoch; `None` is not known.
    at_us: Vec<Option<i64>>,
    defects: Vec<Defect>,
    pub(super) topics: BTreeSet<TopicName>,
}

/// A row that cannot become a record.
#[derive(Debug)]
struct Defect {
    fingerprint: u128,
    id: String,
    error: MappingError,
}

/// What a table has that Kafka has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Compared {
    pub(super) table: String,
    /// The column that the rows were chosen by.
    pub(super) by: String,
    pub(super) rows: usize,
    /// Of them, those without a time: they are looked for too.
    pub(super) undated: usize,
    pub(super) in_kafka: usize,
    pub(super) left_out: usize,
    pub(super) missing: usize,
    pub(super) oldest_missing: Option<String>,
    pub(super) newest_missing: Option<String>,
    #[serde(skip)]
    oldest_missing_us: Option<i64>,
    #[serde(skip)]
    oldest_in_kafka_us: Option<i64>,
}

/// What is made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    InKafka,
    LeftOut,
    Missing,
}

/// The one place that says which rows are published once more.
pub(super) fn judge(fingerprint: u128, held: &Ids, left_out: &Ids) -> Verdict {
    if held.contains(fingerprint) {
        Verdict::InKafka
    } else if left_out.contains(fingerprint) {
        Verdict::LeftOut
    } else {
        Verdict::Missing
    }
}

/// The key of a row as its record has it; one without a record is known by its id.
pub(super) fn key_of(row: &ReadRow) -> u128 {
    let record = row.record.as_ref().ok();
    let key = record.and_then(|record| record.header("id"));
    fingerprint(key.unwrap_or(row.id.as_bytes()))
}

impl Gathered {
    /// Reads the rows since then, by the mapping of the stream.
    pub(super) async fn of(
        reader: &Reader,
        outbox: &Outbox,
        since: Timestamp,
        events_max: usize,
    ) -> Result<Self, Failure> {
        let failed = |error| reader.failed(&outbox.name, error);
        let mut gathered = Self {
            table: outbox.name.clone(),
            by: outbox.by.column.clone(),
            rows: Vec::new(),
            at_us: Vec::new(),
            defects: Vec::new(),
            topics: BTreeSet::new(),
        };
        let rows = outbox.rows.read(reader.client(), &outbox.selection(since)).await;
        let mut rows = rows.map_err(failed)?;
        while let Some(row) = rows.next().await.map_err(failed)? {
            if gathered.rows.len() >= events_max {
                return Err(too_many(&format!("the rows of {}", outbox.name), events_max));
            }
            gathered.take(row);
        }
        Ok(gathered)
    }

    fn take(&mut self, row: ReadRow) {
        let fingerprint = key_of(&row);
        self.rows.push(fingerprint);
        self.at_us.push(row.at.map(Timestamp::as_unix_us));
        match row.record {
            Ok(record) if !self.topics.contains(&record.topic) => drop(self.topics.insert(record.topic)),
            Ok(_) => {}
            Err(error) => self.defects.push(Defect {
                fingerprint,
                id: row.id,
                error,
            }),
        }
    }

    pub(super) fn keys(&self) -> &[u128] {
        &self.rows
    }

    pub(super) fn compare(&self, held: &Ids, left_out: &Ids) -> Compared {
        let mut compared = Compared {
            table: self.table.clone(),
            by: self.by.clone(),
            rows: self.rows.len(),
            undated: self.at_us.iter().filter(|at| at.is_none()).count(),
            in_kafka: 0,
            left_out: 0,
            missing: 0,
            oldest_missing: None,
            newest_missing: None,
            oldest_missing_us: None,
            oldest_in_kafka_us: None,
        };
        let mut newest_missing_us = None;
        for (&row, &at_us) in self.rows.iter().zip(&self.at_us) {
            match judge(row, held, left_out) {
                Verdict::LeftOut => compared.left_out += 1,
                Verdict::InKafka => {
                    compared.in_kafka += 1;
                    compared.oldest_in_kafka_us = earlier(compared.oldest_in_kafka_us, at_us);
                }
                Verdict::Missing => {
                    compared.missing += 1;
                    compared.oldest_missing_us = earlier(compared.oldest_missing_us, at_us);
                    newest_missing_us = newest_missing_us.max(at_us);
                }
            }
        }
        let shown = |at_us: Option<i64>| Some(Timestamp::from_unix_us(at_us?).to_string());
        compared.oldest_missing = shown(compared.oldest_missing_us);
        compared.newest_missing = shown(newest_missing_us);
        compared
    }

    /// Rows that are missing and cannot become records.
    fn defects<'g>(&'g self, held: &'g Ids, left_out: &'g Ids) -> impl Iterator<Item = &'g Defect> {
        let is_missing = |defect: &&Defect| judge(defect.fingerprint, held, left_out) == Verdict::Missing;
        self.defects.iter().filter(is_missing)
    }
}

fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    [one, other].into_iter().flatten().min()
}

/// Nothing is begun that would stop in the middle.
pub(super) fn check_defects(tables: &[Gathered], held: &Ids, left_out: &Ids) -> Result<(), Failure> {
    let defects: Vec<&Defect> = tables.iter().flat_map(|table| table.defects(held, left_out)).collect();
    let Some(first) = defects.first() else { return Ok(()) };
    let named: Vec<String> = defects
        .iter()
        .take(DEFECTS_NAMED_MAX)
        .map(|defect| format!("event {}: {}", defect.id, defect.error))
        .collect();
    let more = defects.len() - named.len();
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    Err(Fault::new(
        policy::of_row(&first.error),
        format!(
            "rows that Kafka lacks cannot become records: {}{more}",
            named.join("; ")
        ),
        "correct the outbox's columns or its topic template, or leave them out: --leave-out ID, for each",
    )
    .into())
}

/// The relay publishes in the order of the commits: an event in Kafka that is older than the first missing one says that
/// what is older still is there too.
pub(super) fn is_evident(tables: &[Compared]) -> bool {
    let first_missing = tables.iter().filter_map(|table| table.oldest_missing_us).min();
    let first_in_kafka = tables.iter().filter_map(|table| table.oldest_in_kafka_us).min();
    match (first_missing, first_in_kafka) {
        (None, _) => true,
        (Some(missing), Some(in_kafka)) => in_kafka < missing,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(rows: &[(u128, Option<i64>)]) -> Gathered {
        Gathered {
            table: "public.outbox".to_owned(),
            by: "created_at".to_owned(),
            rows: rows.iter().map(|(row, _)| *row).collect(),
            at_us: rows.iter().map(|(_, at)| *at).collect(),
            defects: Vec::new(),
            topics: BTreeSet::new(),
        }
    }

    fn compared(rows: &[(u128, Option<i64>)], held: &[u128], left_out: &[u128]) -> Compared {
        gathered(rows).compare(&Ids::of(held.to_vec()), &Ids::of(left_out.to_vec()))
    }

    #[test]
    fn each_row_is_in_kafka_left_out_or_missing() {
        let rows = [(1, Some(10)), (2, Some(20)), (3, Some(30)), (4, None)];
        let compared = compared(&rows, &[1], &[2, 1]);
        assert_eq!((compared.rows, compared.undated), (4, 1));
        assert_eq!((compared.in_kafka, compared.left_out, compared.missing), (1, 1, 2));
        assert_eq!(compared.oldest_missing.as_deref(), Some("1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn an_event_in_kafka_in_front_of_the_missing_ones_is_the_evidence_that_none_is_missing_before() {
        let rows = [(1, Some(10)), (2, Some(20))];
        assert!(is_evident(&[compared(&rows, &[1], &[])]));
        assert!(is_evident(&[compared(&rows, &[1, 2], &[])]), "nothing is missing");
        assert!(!is_evident(&[compared(&rows, &[], &[])]));
        assert!(
            !is_evident(&[compared(&rows, &[2], &[])]),
            "what is in Kafka came later"
        );
        let other_table = compared(&[(9, Some(5))], &[9], &[]);
        assert!(is_evident(&[compared(&rows, &[], &[]), other_table]), "all go one way");
    }

    #[test]
    fn rows_that_cannot_become_records_are_named_unless_they_are_left_out() {
        let mut table = gathered(&[(1, None)]);
        table.defects.push(Defect {
            fingerprint: 1,
            id: "a1".to_owned(),
            error: MappingError::Null {
                table: "public.outbox".to_owned(),
                part: "payload",
            },
        });
        let (none, one) = (Ids::default(), Ids::of(vec![1]));
        assert!(check_defects(std::slice::from_ref(&table), &none, &none).is_err());
        assert!(check_defects(&[table], &none, &one).is_ok());
    }
}

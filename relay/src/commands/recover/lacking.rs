//! Events that Kafka holds and the tables lack.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};

use outbox_decoder::{Lsn, Timestamp};
use serde::Serialize;

use super::super::{Failure, Refusal};
use super::ids::{Ids, fingerprint};
use super::kafka::{Held, Topics};
use crate::kafka::ReadBack;

/// So many are listed; a file has all of them.
const LISTED_MAX: usize = 100;

/// How many, and the first of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Lacking {
    pub(super) count: usize,
    /// Of them, those that committed elsewhere, after that server and this had parted.
    pub(super) never_here: usize,
    pub(super) events: Vec<LackingEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LackingEvent {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) at: Option<String>,
    pub(super) position: Option<String>,
    pub(super) never_here: bool,
}

/// Gathers what is found on the thread that reads.
struct Search {
    rows: Ids,
    never_here_from: Lsn,
    seen: HashSet<u128>,
    found: Lacking,
    file: Option<BufWriter<File>>,
    written: std::io::Result<()>,
}

impl Search {
    fn look_at(&mut self, record: &ReadBack<'_>) {
        let Some(id) = record.header("id") else { return };
        let key = fingerprint(id);
        if self.rows.contains(key) || !self.seen.insert(key) {
            return;
        }
        let event = event(record, id, self.never_here_from);
        self.found.count += 1;
        self.found.never_here += usize::from(event.never_here);
        if let (Some(file), Ok(())) = (&mut self.file, &self.written) {
            self.written = serde_json::to_writer(&mut *file, &event)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"));
        }
        if self.found.events.len() < LISTED_MAX {
            self.found.events.push(event);
        }
    }

    fn end(mut self) -> Result<Lacking, Failure> {
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        match self.written.and(flushed) {
            Ok(()) => Ok(self.found),
            Err(error) => Err(unwritten(&error)),
        }
    }
}

/// Compares what Kafka holds with the keys of the rows.
pub(super) async fn look(
    topics: &Topics,
    held: &Held,
    rows: Ids,
    never_here_from: Lsn,
    file: Option<File>,
) -> Result<Lacking, Failure> {
    if held.ids.lacking_in(&rows) == 0 {
        return Ok(Lacking::default());
    }
    let search = Search {
        rows,
        never_here_from,
        seen: HashSet::new(),
        found: Lacking::default(),
        file: file.map(BufWriter::new),
        written: Ok(()),
    };
    topics.again(held, search, Search::look_at).await?.end()
}

pub(super) fn unwritten(error: &std::io::Error) -> Failure {
    Failure::new(
        Refusal::SystemRefused,
        format!("the file of --report cannot be written: {error}"),
        "name another one, and run it again",
    )
}

fn event(record: &ReadBack<'_>, id: &[u8], never_here_from: Lsn) -> LackingEvent {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let position = record.header("position").map(text);
    let at = record
        .timestamp_ms()
        .map(|ms| Timestamp::from_unix_us(ms.saturating_mul(1000)));
    LackingEvent {
        never_here: position
            .as_deref()
            .and_then(commit_lsn)
            .is_some_and(|lsn| lsn >= never_here_from),
        id: text(id),
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        at: at.map(|at| at.to_string()),
        position,
    }
}

/// From a `position` header.
fn commit_lsn(position: &str) -> Option<Lsn> {
    let (commit, _) = position.split_once('-')?;
    u64::from_str_radix(commit, 16).ok().map(Lsn::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_read_from_a_position() {
        assert_eq!(commit_lsn("00000000016B3748-00000003-7"), Some(Lsn::new(0x016B_3748)));
        assert_eq!(commit_lsn("whatever"), None);
        assert_eq!(commit_lsn("x-1-2"), None);
    }
}

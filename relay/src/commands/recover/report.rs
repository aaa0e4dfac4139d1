//! What is told of a recovery, for people and for programs.

use std::fmt::Write;

use outbox_decoder::Lsn;
use serde_json::{Value, json};

use super::kafka::HeldTopic;
use super::lacking::Lacking;
use super::republish::Republished;
use super::since::Since;
use super::situation::Situation;
use super::survey::Compared;
use super::trail::Noted;

/// On a terminal so many events are listed.
const LISTED_MAX: usize = 20;

/// What stays the same from beginning to end.
pub(super) struct Report {
    slot: String,
    situation: String,
    known: Value,
    since: Since,
    never_here_from: Lsn,
}

/// What was done.
pub(super) struct Done {
    pub(super) starts_at: Option<Lsn>,
    /// No relay has published from the slot meanwhile.
    pub(super) was_held: bool,
    pub(super) republished: Vec<Republished>,
    pub(super) lacking: Lacking,
    /// `None` when nothing was changed.
    pub(super) noted: Option<Noted>,
}

impl Done {
    /// Nothing.
    pub(super) const fn dry(lacking: Lacking) -> Self {
        Self {
            starts_at: None,
            was_held: true,
            republished: Vec::new(),
            lacking,
            noted: None,
        }
    }

    fn published(&self) -> u64 {
        self.republished.iter().map(|table| table.republished).sum()
    }

    /// For the audit trail.
    pub(super) fn in_one_line(&self) -> String {
        let slot = self
            .starts_at
            .map_or("slot kept".to_owned(), |point| format!("slot starts at {point}"));
        format!(
            "done: {slot}; {} rows published once more; {} events in Kafka are not among the rows, {} of them were never on \
             this server",
            self.published(),
            self.lacking.count,
            self.lacking.never_here
        )
    }
}

impl Report {
    pub(super) fn of(situation: &Situation, slot: &str, since: Since) -> Self {
        Self {
            slot: slot.to_owned(),
            situation: situation.describe(slot),
            known: situation.as_json(slot),
            since,
            never_here_from: situation.never_here_from(),
        }
    }

    /// What is known, before anything is done.
    pub(super) fn prospect(&self, tables: &[Compared], topics: &[HeldTopic]) -> String {
        let mut text = self.situation.clone();
        let _ = writeln!(
            text,
            "since:          {} ({})",
            self.since.at,
            self.since.said_by.name()
        );
        for table in tables {
            let _ = writeln!(text, "table:          {}", compared(table));
        }
        for HeldTopic {
            topic,
            records,
            compacted,
            newest,
        } in topics
        {
            let compacted = match compacted {
                Some(false) => "",
                Some(true) => "; compacted, so that what was removed counts as missing",
                None => "; whether it is compacted is not known",
            };
            let newest = newest.as_ref().map_or("no event among them".to_owned(), |newest| {
                let position = newest
                    .position
                    .as_deref()
                    .map_or(String::new(), |position| format!(", position {position}"));
                format!("the newest of {}: event {}{position}", newest.at, newest.id)
            });
            let _ = writeln!(
                text,
                "topic:          {topic}: {records} records since then, {newest}{compacted}"
            );
        }
        text
    }

    /// What came of it.
    pub(super) fn outcome(&self, topics: &[HeldTopic], done: &Done) -> String {
        let mut text = String::new();
        if let Some(point) = done.starts_at {
            let _ = writeln!(
                text,
                "new slot:       {} starts at {point}: what commits from then on comes from it",
                self.slot
            );
        }
        for table in &done.republished {
            let Republished {
                table,
                by,
                rows,
                in_kafka,
                left_out,
                republished,
            } = table;
            let _ = writeln!(
                text,
                "republished:    {table} by {by}: {republished} of {rows} rows; Kafka had {in_kafka}, left out were {left_out}"
            );
        }
        if !done.was_held {
            let _ = writeln!(
                text,
                "note:           a relay streamed from the slot meanwhile: its events may stand in front of older ones"
            );
        }
        if topics.is_empty() {
            let _ = writeln!(
                text,
                "only in Kafka:  not known: no row since then names a topic, so none was read; --topic TOPIC names one"
            );
        } else {
            self.lacking(&done.lacking, &mut text);
        }
        if let Some(Noted { seq, head }) = &done.noted {
            let _ = writeln!(text, "audit:          {seq}:{head}");
            let _ = writeln!(text, "next:           start the relay");
            if done.starts_at.is_some() {
                let _ = writeln!(
                    text,
                    "then:           retention removes nothing of what was here before the new slot until `outbox-relay purge \
                     --vouch` says that it is in Kafka"
                );
            }
        }
        text
    }

    fn lacking(&self, lacking: &Lacking, text: &mut String) {
        if lacking.count == 0 {
            let _ = writeln!(text, "only in Kafka:  nothing: each of its events is among the rows");
            return;
        }
        let _ = writeln!(
            text,
            "only in Kafka:  {} events are not among the rows since then: rows that were deleted after they were published, \
             or that this server never had; the latter holds for {} of them, with positions from {} on",
            lacking.count, lacking.never_here, self.never_here_from
        );
        for event in lacking.events.iter().take(LISTED_MAX) {
            let position = event.position.as_deref().unwrap_or("no position");
            let never = if event.never_here { ", never on this server" } else { "" };
            let _ = writeln!(
                text,
                "                {} in {}/{}@{}, {position}{never}",
                event.id, event.topic, event.partition, event.offset
            );
        }
        if lacking.count > LISTED_MAX {
            let _ = writeln!(
                text,
                "                and {} more: --report FILE lists all",
                lacking.count - LISTED_MAX
            );
        }
    }

    pub(super) fn as_json(&self, tables: &[Compared], topics: &[HeldTopic], done: &Done) -> Value {
        json!({
            "done": done.noted.is_some(),
            "known": self.known,
            "since": {"at": self.since.at.to_string(), "said_by": self.since.said_by.name()},
            "tables": tables,
            "topics": topics,
            "new_slot": done.starts_at.map(|point| json!({"name": self.slot, "starts_at": point.to_string()})),
            "was_held": done.was_held,
            "republished": done.republished,
            "never_here_from": self.never_here_from.to_string(),
            "only_in_kafka": done.lacking,
            "audit": done.noted,
        })
    }
}

fn compared(table: &Compared) -> String {
    let Compared {
        table,
        by,
        rows,
        undated,
        in_kafka,
        left_out,
        missing,
        oldest_missing,
        newest_missing,
        ..
    } = table;
    let mut text = format!("{table} by {by}: {rows} rows, {in_kafka} in Kafka, {missing} missing");
    if let (Some(oldest), Some(newest)) = (oldest_missing, newest_missing) {
        let _ = write!(text, " (from {oldest} to {newest})");
    }
    if *left_out > 0 {
        let _ = write!(text, ", {left_out} left out");
    }
    if *undated > 0 {
        let _ = write!(text, "; {undated} have no {by} and are looked for too");
    }
    text
}

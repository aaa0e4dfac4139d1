//! A row of the table of dead letters, but for headers and payload, which not every role may read.

use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::PgLsn;

use crate::hex;

/// The columns of [`Letter::of`].
pub(super) const COLUMNS: &str = r#"d.letter_id, d.slot_name, d.system_identifier, d.commit_lsn, d.ordinal, d.xid,
    to_char(d.committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS committed_at, d.outbox,
    d.idempotency_key, d.aggregate_type, d.tenant, d.topic, d.key, d.payload_bytes,
    to_char(d.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS occurred_at, d.error_type,
    d.error_message, d.error_causes, d.broker_response, d.attempts, d.attempts_max,
    to_char(d.first_failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS first_failed_at,
    to_char(d.last_failed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_failed_at, d.parks_key, d.state,
    to_char(d.set_aside_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS set_aside_at,
    to_char(d.resolved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS resolved_at,
    extract(epoch FROM clock_timestamp() - d.set_aside_at)::int8 AS age_s"#;

#[derive(Debug)]
pub(super) struct Letter {
    pub(super) letter_id: i64,
    pub(super) slot: String,
    pub(super) system_identifier: String,
    pub(super) commit_lsn: PgLsn,
    pub(super) ordinal: i64,
    pub(super) xid: i64,
    pub(super) committed_at: String,
    pub(super) outbox: String,
    pub(super) event: String,
    pub(super) aggregate_type: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) payload_bytes: Option<i64>,
    pub(super) occurred_at: String,
    pub(super) error: Error,
    pub(super) parks_key: bool,
    pub(super) state: String,
    pub(super) set_aside_at: String,
    pub(super) resolved_at: Option<String>,
    pub(super) age_s: i64,
}

/// Why it was set aside.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) error_type: String,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
    pub(super) broker_response: Option<String>,
    pub(super) attempts: i32,
    pub(super) attempts_max: i32,
    pub(super) first_failed_at: String,
    pub(super) last_failed_at: String,
}

impl Letter {
    /// Of a row with [`COLUMNS`].
    pub(super) fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            letter_id: row.try_get("letter_id")?,
            slot: row.try_get("slot_name")?,
            system_identifier: row.try_get("system_identifier")?,
            commit_lsn: row.try_get("commit_lsn")?,
            ordinal: row.try_get("ordinal")?,
            xid: row.try_get("xid")?,
            committed_at: row.try_get("committed_at")?,
            outbox: row.try_get("outbox")?,
            event: row.try_get("idempotency_key")?,
            aggregate_type: row.try_get("aggregate_type")?,
            tenant: row.try_get("tenant")?,
            topic: row.try_get("topic")?,
            key: row.try_get("key")?,
            payload_bytes: row.try_get("payload_bytes")?,
            occurred_at: row.try_get("occurred_at")?,
            error: Error::of(row)?,
            parks_key: row.try_get("parks_key")?,
            state: row.try_get("state")?,
            set_aside_at: row.try_get("set_aside_at")?,
            resolved_at: row.try_get("resolved_at")?,
            age_s: row.try_get("age_s")?,
        })
    }

    /// So many of those that it may take each time; of one that was published again and failed, of all times together.
    pub(super) fn attempts(&self) -> String {
        attempts_shown(self.error.attempts, self.error.attempts_max)
    }

    /// For machines. A key that is no text is only in its hexadecimal form.
    pub(super) fn as_json(&self) -> Value {
        let error = &self.error;
        json!({
            "letter_id": self.letter_id,
            "state": self.state,
            "slot": self.slot,
            "system_identifier": self.system_identifier,
            "commit_lsn": self.commit_lsn.to_string(),
            "ordinal": self.ordinal,
            "xid": self.xid,
            "committed_at": self.committed_at,
            "outbox": self.outbox,
            "event_id": self.event,
            "aggregate_type": self.aggregate_type,
            "tenant": self.tenant,
            "topic": self.topic,
            "key": self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()),
            "key_hex": self.key.as_deref().map(hex::digits),
            "payload_bytes": self.payload_bytes,
            "occurred_at": self.occurred_at,
            "error_type": error.error_type,
            "error_message": error.message,
            "error_causes": error.causes,
            "broker_response": error.broker_response,
            "attempts": error.attempts,
            "attempts_max": error.attempts_max,
            "first_failed_at": error.first_failed_at,
            "last_failed_at": error.last_failed_at,
            "parks_key": self.parks_key,
            "set_aside_at": self.set_aside_at,
            "resolved_at": self.resolved_at,
        })
    }
}

impl Error {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            error_type: row.try_get("error_type")?,
            message: row.try_get("error_message")?,
            causes: row.try_get("error_causes")?,
            broker_response: row.try_get("broker_response")?,
            attempts: row.try_get("attempts")?,
            attempts_max: row.try_get("attempts_max")?,
            first_failed_at: row.try_get("first_failed_at")?,
            last_failed_at: row.try_get("last_failed_at")?,
        })
    }
}

/// What can be done about a letter in a state.
pub(in crate::commands) fn next_of(state: &str, letter: i64) -> String {
    match state {
        "failed" => format!("mend the cause, then `outbox-relay dead-letters redrive {letter}`; or discard it"),
        "parked" => format!(
            "nothing: it follows what it waits for (`outbox-relay dead-letters show {letter}`); `dead-letters discard {letter}`, if it \
             is never to be published"
        ),
        "redriving" => format!(
            "nothing: it is marked, and a running relay publishes it; without one `outbox-relay dead-letters redrive {letter} \
             --execute`"
        ),
        "redriven" => {
            "nothing: it was published; `outbox-relay dead-letters list --state redriven` says when".to_owned()
        }
        _ => "it was discarded for good: if it is to be published after all, write its row once more".to_owned(),
    }
}

fn attempts_shown(attempts: i32, each_time: i32) -> String {
    if attempts <= each_time {
        format!("{attempts} of {each_time}")
    } else {
        format!("{attempts}, {each_time} each time")
    }
}

/// A record key for people: as text where it is printable.
pub(super) fn key_shown(key: Option<&[u8]>) -> String {
    match key.map(|key| (key, std::str::from_utf8(key))) {
        None => "(none)".to_owned(),
        Some((_, Ok(text))) if !text.is_empty() && !text.contains(char::is_control) => text.to_owned(),
        Some((key, _)) => format!("0x{}", hex::digits(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_several_times_are_not_told_as_a_part_of_those_of_one() {
        assert_eq!(attempts_shown(1, 3), "1 of 3");
        assert_eq!(attempts_shown(3, 1), "3, 1 each time");
    }

    #[test]
    fn a_key_is_shown_as_text_where_it_is_printable() {
        assert_eq!(key_shown(None), "(none)");
        assert_eq!(key_shown(Some("größe-1".as_bytes())), "größe-1");
        assert_eq!(key_shown(Some(b"a\x1b[2J")), "0x611b5b324a");
        assert_eq!(key_shown(Some(&[0xff])), "0xff");
        assert_eq!(key_shown(Some(b"")), "0x");
    }
}

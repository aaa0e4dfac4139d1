//! One line: a row, as the record that it was.

use outbox_decoder::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::text::Bytes;
use crate::replay::{OCCURRED_AT_HEADER, REPLAY_HEADER, ReadRow, Record};

/// A row as it was published, or as it is, where no record can be made of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// Name of the outbox.
    outbox: String,
    /// The table, with its schema.
    table: String,
    /// The idempotency key.
    pub(crate) id: String,
    /// Nothing where no record can be made of the row.
    topic: Option<String>,
    key: Option<Bytes>,
    headers: Vec<(String, Bytes)>,
    payload: Option<Bytes>,
    /// Milliseconds since the Unix epoch.
    occurred_at_ms: Option<i64>,
    /// Why there is no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unmappable: Option<String>,
    /// All columns, where there is no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<Box<RawValue>>,
}

/// A row that does not fit its mapping: what it holds has to be read as it is.
#[derive(Debug)]
pub(crate) struct Unmappable {
    pub(crate) id: String,
    pub(crate) why: String,
}

impl Line {
    /// Of a row that was read.
    pub(crate) fn of(outbox: &str, table: &str, row: ReadRow) -> Result<Self, Unmappable> {
        let ReadRow { id, record, .. } = row;
        let record = match record {
            Ok(record) => record,
            Err(why) => {
                let why = why.to_string();
                return Err(Unmappable { id, why });
            }
        };
        let occurred_at = record
            .header(OCCURRED_AT_HEADER)
            .and_then(|text| std::str::from_utf8(text).ok());
        // Without what marks a replay: the row was not one.
        let is_own = |(name, _): &(String, Vec<u8>)| name != REPLAY_HEADER && name != OCCURRED_AT_HEADER;
        Ok(Self {
            topic: Some(record.topic.to_string()),
            occurred_at_ms: occurred_at.and_then(|text| text.parse().ok()),
            key: record.key.map(Bytes),
            payload: record.payload.map(Bytes),
            headers: (record.headers.into_iter().filter(is_own))
                .map(|(name, value)| (name, Bytes(value)))
                .collect(),
            ..Self::empty(outbox, table, id)
        })
    }

    /// Of a row that no record can be made of; `row` is all of it.
    pub(crate) fn of_unmappable(outbox: &str, table: &str, which: Unmappable, row: Box<RawValue>) -> Self {
        Self {
            unmappable: Some(which.why),
            row: Some(row),
            ..Self::empty(outbox, table, which.id)
        }
    }

    fn empty(outbox: &str, table: &str, id: String) -> Self {
        Self {
            outbox: outbox.to_owned(),
            table: table.to_owned(),
            id,
            topic: None,
            key: None,
            headers: Vec::new(),
            payload: None,
            occurred_at_ms: None,
            unmappable: None,
            row: None,
        }
    }

    /// When the event happened, where its row says so.
    pub(crate) fn occurred_at(&self) -> Option<Timestamp> {
        self.occurred_at_ms
            .map(|ms| Timestamp::from_unix_us(ms.saturating_mul(1000)))
    }

    /// Where its record went; `None` where there was none.
    pub(crate) fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The record to be published once more, marked with `replayed_by`; `None` where there was none.
    ///
    /// # Errors
    /// The topic is no name that a topic can have.
    pub(crate) fn into_record(self, replayed_by: &str) -> Result<Option<Record>, String> {
        let Some(topic) = self.topic else {
            return Ok(None);
        };
        let topic = topic.parse().map_err(|error| format!("topic {topic:?}: {error}"))?;
        let mut headers: Vec<(String, Vec<u8>)> =
            self.headers.into_iter().map(|(name, value)| (name, value.0)).collect();
        headers.push((REPLAY_HEADER.to_owned(), replayed_by.as_bytes().to_vec()));
        if let Some(at) = self.occurred_at_ms {
            headers.push((OCCURRED_AT_HEADER.to_owned(), at.to_string().into_bytes()));
        }
        Ok(Some(Record {
            topic,
            key: self.key.map(|key| key.0),
            headers,
            payload: self.payload.map(|payload| payload.0),
            timestamp_ms: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::MappingError;

    use super::*;

    fn record() -> Record {
        let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        Record {
            topic: "orders".parse().expect("a name"),
            key: Some(b"7".to_vec()),
            headers: vec![
                header("id", b"a1"),
                header("raw", b"\xff"),
                header(REPLAY_HEADER, b"retention"),
                header(OCCURRED_AT_HEADER, b"1700000000123"),
            ],
            payload: None,
            timestamp_ms: None,
        }
    }

    fn row(record: Result<Record, MappingError>) -> ReadRow {
        ReadRow {
            at: None,
            id: "a1".to_owned(),
            record,
        }
    }

    #[test]
    fn a_row_comes_back_as_the_record_that_it_was_marked_as_replayed() {
        let line = Line::of("default", "public.outbox", row(Ok(record()))).expect("a record");
        let written = serde_json::to_string(&line).expect("JSON");
        assert_eq!(
            written,
            r#"{"outbox":"default","table":"public.outbox","id":"a1","topic":"orders","key":"7","headers":[["id","a1"],["raw",{"base64":"/w=="}]],"payload":null,"occurred_at_ms":1700000000123}"#
        );
        let read: Line = serde_json::from_str(&written).expect("a line");
        assert_eq!(read.occurred_at().map(Timestamp::as_unix_ms), Some(1_700_000_000_123));
        let expected = Record {
            headers: [
                &record().headers[..2],
                &[
                    (REPLAY_HEADER.to_owned(), b"archive".to_vec()),
                    (OCCURRED_AT_HEADER.to_owned(), b"1700000000123".to_vec()),
                ],
            ]
            .concat(),
            ..record()
        };
        assert_eq!(read.into_record("archive"), Ok(Some(expected)));
    }

    #[test]
    fn a_row_that_no_record_can_be_made_of_is_kept_as_it_is() {
        let why = MappingError::Null {
            table: "public.outbox".to_owned(),
            part: "aggregate_type",
        };
        let which = Line::of("default", "public.outbox", row(Err(why))).expect_err("no record");
        let whole = RawValue::from_string(r#"{"id":"a1","payload":{"n":1.50}}"#.to_owned()).expect("JSON");
        let line = Line::of_unmappable("default", "public.outbox", which, whole);
        let written = serde_json::to_string(&line).expect("JSON");
        assert!(
            written.contains(r#""row":{"id":"a1","payload":{"n":1.50}}"#),
            "{written}"
        );
        let read: Line = serde_json::from_str(&written).expect("a line");
        assert_eq!((read.topic(), read.occurred_at()), (None, None));
        assert_eq!(read.into_record("archive"), Ok(None));
    }
}

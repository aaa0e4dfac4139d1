//! The record that tells of one letter. Pure.

use outbox_decoder::{Position, TopicName};

use crate::kafka::Record;

/// Beside its payload a record needs room for its headers and the batch that it is in.
const BESIDE_PAYLOAD_BYTES: usize = 2_048;
/// More of a message is in the table.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// A letter that nobody was told of.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) letter_id: i64,
    pub(super) position: Position,
    pub(super) outbox: String,
    pub(super) idempotency_key: String,
    pub(super) topic: Option<String>,
    pub(super) key: Option<Vec<u8>>,
    /// As they would have gone to its own topic.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// `None` also where it is too large to be read at all.
    pub(super) payload: Option<Vec<u8>>,
    /// `None`: it has no payload.
    pub(super) payload_bytes: Option<i64>,
    pub(super) occurred_at_ms: i64,
    pub(super) error_type: String,
    pub(super) error_message: String,
    pub(super) broker_response: Option<String>,
    pub(super) attempts: i32,
    pub(super) state: String,
}

/// How much of a letter its notice has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everything.
    Whole,
    /// The headers, and where the payload is to be found.
    Reference,
    /// Nothing of its own: its headers are too large as well.
    Reason,
}

/// The largest payload that goes with a notice.
pub(super) fn payload_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_sub(BESIDE_PAYLOAD_BYTES)
}

impl Due {
    /// Its payload does not come with it.
    fn is_cut(&self) -> bool {
        self.payload.is_none() && self.payload_bytes.is_some()
    }

    /// The most that its notice can have.
    pub(super) fn extent(&self) -> Extent {
        if self.is_cut() {
            Extent::Reference
        } else {
            Extent::Whole
        }
    }

    /// Its notice. The key is the event's, so that notices of one key stay in order.
    pub(super) fn record(&self, topic: &TopicName, slot: &str, extent: Extent) -> Record {
        let mut headers = Vec::new();
        if extent != Extent::Reason {
            headers.clone_from(&self.headers);
        }
        headers.extend(self.reason(slot, extent).into_iter().flatten());
        Record {
            topic: topic.clone(),
            key: self.key.clone(),
            headers,
            payload: self.payload.clone().filter(|_| extent == Extent::Whole),
            timestamp_ms: None,
        }
    }

    fn reason(&self, slot: &str, extent: Extent) -> [Option<(String, Vec<u8>)>; 14] {
        let header = |name: &str, value: &str| Some((format!("outbox_relay.{name}"), value.as_bytes().to_vec()));
        let payload = match (extent, self.payload_bytes) {
            (_, None) => "none",
            (Extent::Whole, _) => "whole",
            (Extent::Reference | Extent::Reason, _) => "left_out",
        };
        let optional = |name, value: Option<&str>| value.and_then(|value| header(name, value));
        [
            header("letter_id", &self.letter_id.to_string()),
            header("slot", slot),
            header("state", &self.state),
            header("error_type", &self.error_type),
            header("error_message", beginning(&self.error_message)),
            optional("broker_response", self.broker_response.as_deref().map(beginning)),
            header("attempts", &self.attempts.to_string()),
            header("outbox", &self.outbox),
            optional("topic", self.topic.as_deref()),
            Some((
                "outbox_relay.position".to_owned(),
                self.position.header().as_bytes().to_vec(),
            )),
            header("idempotency_key", &self.idempotency_key),
            header("occurred_at", &self.occurred_at_ms.to_string()),
            header("payload", payload),
            optional(
                "payload_bytes",
                self.payload_bytes.map(|bytes| bytes.to_string()).as_deref(),
            ),
        ]
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use outbox_decoder::Lsn;

    use super::*;

    fn due() -> Due {
        Due {
            letter_id: 17,
            position: Position {
                commit_lsn: Lsn::new(0x1A),
                ordinal: 2,
                xid: 742,
            },
            outbox: "default".to_owned(),
            idempotency_key: "a1".to_owned(),
            topic: Some("orders".to_owned()),
            key: Some(b"k".to_vec()),
            headers: vec![("id".to_owned(), b"a1".to_vec())],
            payload: Some(b"{}".to_vec()),
            payload_bytes: Some(2),
            occurred_at_ms: 5,
            error_type: "record_refused".to_owned(),
            error_message: "é".repeat(MESSAGE_BYTES_MAX),
            broker_response: None,
            attempts: 3,
            state: "failed".to_owned(),
        }
    }

    fn shown(due: &Due, extent: Extent) -> Record {
        due.record(&"dead".parse().expect("a name"), "shop", extent)
    }

    fn text<'r>(record: &'r Record, name: &str) -> Option<&'r str> {
        record.header(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    #[test]
    fn a_notice_is_the_event_as_it_was_and_says_why_it_did_not_go_out() {
        let record = shown(&due(), due().extent());
        assert_eq!(
            (record.key.as_deref(), record.payload.as_deref()),
            (Some(&b"k"[..]), Some(&b"{}"[..]))
        );
        for (name, expected) in [
            ("id", "a1"),
            ("outbox_relay.letter_id", "17"),
            ("outbox_relay.slot", "shop"),
            ("outbox_relay.state", "failed"),
            ("outbox_relay.error_type", "record_refused"),
            ("outbox_relay.attempts", "3"),
            ("outbox_relay.topic", "orders"),
            ("outbox_relay.position", "000000000000001A-00000002-742"),
            ("outbox_relay.idempotency_key", "a1"),
            ("outbox_relay.payload", "whole"),
            ("outbox_relay.payload_bytes", "2"),
        ] {
            assert_eq!(text(&record, name), Some(expected), "{name}");
        }
        let message = text(&record, "outbox_relay.error_message").expect("text");
        assert!(message.len() <= MESSAGE_BYTES_MAX && message.starts_with('é'));
        assert_eq!(record.header("outbox_relay.broker_response"), None);
    }

    #[test]
    fn a_payload_that_was_not_read_is_referred_to_and_a_tombstone_is_whole() {
        let cut = Due { payload: None, ..due() };
        assert_eq!(cut.extent(), Extent::Reference);
        let record = shown(&cut, cut.extent());
        assert_eq!(
            (&record.payload, text(&record, "outbox_relay.payload")),
            (&None, Some("left_out"))
        );
        assert_eq!(text(&record, "id"), Some("a1"));
        let tombstone = Due {
            payload: None,
            payload_bytes: None,
            ..due()
        };
        assert_eq!(tombstone.extent(), Extent::Whole);
        assert_eq!(
            text(&shown(&tombstone, Extent::Whole), "outbox_relay.payload"),
            Some("none")
        );
    }

    #[test]
    fn the_smallest_notice_has_nothing_of_the_event_but_its_key() {
        let record = shown(&due(), Extent::Reason);
        assert_eq!((&record.payload, record.header("id")), (&None, None));
        assert_eq!(text(&record, "outbox_relay.idempotency_key"), Some("a1"));
    }
}

//! Any bytes as the metadata document of a row, and as the text of its creation time.

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::pgoutput::Message;
use outbox_decoder::{Lsn, Position, Timestamp};

use super::tables;

/// Names and type oids: text, json for the metadata, timestamptz for the time.
const COLUMNS: [(&str, u32); 6] = [
    ("id", 25),
    ("aggregate_type", 25),
    ("aggregate_id", 25),
    ("payload", 25),
    ("metadata", 114),
    ("created_at", 1184),
];

fn relation() -> Vec<u8> {
    let mut relation = b"R\0\0\0\x09sales\0outbox\0d\0\x06".to_vec();
    for (name, type_oid) in COLUMNS {
        relation.push(0);
        relation.extend(name.as_bytes());
        relation.push(0);
        relation.extend(type_oid.to_be_bytes());
        relation.extend([255; 4]);
    }
    relation
}

fn insert(metadata: &[u8], created_at: &[u8]) -> Vec<u8> {
    let mut insert = b"I\0\0\0\x09N\0\x06".to_vec();
    for (kind, value) in [
        (b'b', &b"1"[..]),
        (b'b', b"Order"),
        (b'b', b"k"),
        (b'b', b"p"),
        (b'b', metadata),
        (b't', created_at),
    ] {
        insert.push(kind);
        insert.extend(u32::try_from(value.len()).expect("a short value").to_be_bytes());
        insert.extend(value);
    }
    insert
}

fn read(metadata: &[u8], created_at: &[u8]) {
    let (relation, insert) = (relation(), insert(metadata, created_at));
    let mut decoder = OutboxDecoder::new(tables::outbox_tables(), tables::SYSTEM_IDENTIFIER);
    let (Ok(Message::Relation(relation)), Ok(Message::Insert { oid, tuple })) =
        (Message::parse(&relation), Message::parse(&insert))
    else {
        panic!("the messages are valid");
    };
    decoder.describe(&relation).expect("a valid description");
    let position = Position {
        commit_lsn: Lsn::ZERO,
        ordinal: 0,
        xid: 0,
    };
    if let Ok(envelope) = decoder.envelope(oid, tuple, position, Timestamp::default()) {
        let mut headers = 0;
        envelope.for_each_header(|_, value| {
            assert!(value.len() <= metadata.len().max(64));
            headers += 1;
        });
        assert_eq!(headers, envelope.header_count());
    }
}

pub(crate) fn run(bytes: &[u8]) {
    read(bytes, b"2026-11-22 15:39:13+00");
    read(b"{}", bytes);
}

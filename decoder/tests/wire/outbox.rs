//! Rows and envelopes: whatever a table is said to look like, and whatever its rows hold.

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::pgoutput::Message;
use outbox_decoder::stream::StreamMessage;
use outbox_decoder::{Columns, Lsn, Position, Text, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::captures::{captures, cut};
use crate::tables::{SYSTEM_IDENTIFIER, outbox_tables};

/// Types with a rendering, one without (numeric), and two that a script made.
const TYPES: &[u32] = &[
    16,
    17,
    18,
    19,
    20,
    21,
    23,
    25,
    114,
    142,
    1042,
    1043,
    1114,
    1184,
    1700,
    2950,
    3802,
    16_384,
    u32::MAX,
];
const NAMES: &[&str] = &[
    "id",
    "aggregate_type",
    "aggregate_id",
    "event_type",
    "payload",
    "metadata",
    "created_at",
    "version",
    "other",
];
const AT: Position = Position {
    commit_lsn: Lsn::new(u64::MAX),
    ordinal: u32::MAX,
    xid: u32::MAX,
};

/// A column: its name, its type, the kind of its value and the value.
type Field = (&'static str, u32, u8, Vec<u8>);

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let value = prop_oneof![
        vec(any::<u8>(), 0..20),
        vec(any::<u8>(), 8),
        vec(any::<u8>(), 16),
        ".{0,12}".prop_map(String::into_bytes),
        "\u{1}?\\{(\"(trace_id|x)\": ?(null|1|\"\\\\u00e9\"|\\[\\{\\}\\])){0,1}\\}".prop_map(String::into_bytes),
        "20[0-9]{2}-0[1-9]-1[0-9] [0-9:.]{1,12}[+-]?[0-9]{0,3}".prop_map(String::into_bytes),
    ]
    .boxed();
    let field = move |name: &'static str| (Just(name), select(TYPES), select(&b"ntbbb"[..]), value.clone());
    let all: Vec<_> = NAMES.iter().map(|name| field(name)).collect();
    // Mostly every column once, in some order; sometimes some are missing or there twice.
    let any_name = select(NAMES);
    prop_oneof![
        all.prop_shuffle(),
        vec(any_name, 0..12).prop_flat_map(move |names| names.into_iter().map(&field).collect::<Vec<_>>()),
    ]
}

/// The Relation message and the Insert message of a row of `sales.outbox`.
fn messages(fields: &[Field]) -> (Vec<u8>, Vec<u8>) {
    let count = u16::try_from(fields.len()).expect("few columns").to_be_bytes();
    let mut relation = b"R\0\0\0\x09sales\0outbox\0d".to_vec();
    let mut insert = b"I\0\0\0\x09N".to_vec();
    relation.extend(count);
    insert.extend(count);
    for (name, type_oid, kind, value) in fields {
        relation.push(0);
        relation.extend([name.as_bytes(), b"\0"].concat());
        relation.extend(type_oid.to_be_bytes());
        relation.extend((-1_i32).to_be_bytes());
        insert.push(*kind);
        if *kind != b'n' {
            insert.extend(u32::try_from(value.len()).expect("a short value").to_be_bytes());
            insert.extend(value);
        }
    }
    (relation, insert)
}

/// Feeds messages to a decoder and reads every envelope to its last header; returns how many there were.
fn decode(decoder: &mut OutboxDecoder, message: &[u8]) -> usize {
    match Message::parse(message) {
        Ok(Message::Relation(relation)) => {
            decoder.describe(&relation).expect("a description that was checked");
            0
        }
        Ok(Message::Insert { oid, tuple }) => {
            let Ok(envelope) = decoder.envelope(oid, tuple, AT, Timestamp::default()) else {
                return 0;
            };
            let mut headers = 0;
            envelope.for_each_header(|name, _| {
                assert!(!name.is_empty());
                headers += 1;
            });
            assert_eq!(headers, envelope.header_count());
            let _ = envelope.timestamp_ms();
            1
        }
        _ => 0,
    }
}

proptest! {
    #[test]
    fn no_row_of_any_described_table_makes_the_decoder_panic(fields in fields(), row in fields()) {
        let mut decoder = OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER);
        let (relation, insert) = messages(&fields);
        decode(&mut decoder, &relation);
        decode(&mut decoder, &insert);
        decode(&mut decoder, &messages(&row).1);
    }

    #[test]
    fn no_change_of_captured_bytes_makes_the_decoder_panic(
        changes in vec((any::<Index>(), any::<u8>()), 1..60),
    ) {
        for mut bytes in captures() {
            for (place, byte) in &changes {
                *place.get_mut(&mut bytes) = *byte;
            }
            let mut decoder = OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER);
            for frame in cut(&bytes).0 {
                if let Ok(StreamMessage::XLogData(message)) = StreamMessage::parse(frame.body) {
                    decode(&mut decoder, message);
                }
            }
        }
    }

    #[test]
    fn columns_are_found_by_name_in_any_order(order in Just(NAMES.to_vec()).prop_shuffle()) {
        let fields: Vec<Field> = order.iter().map(|&name| (name, 25, b'b', name.as_bytes().to_vec())).collect();
        let (relation, insert) = messages(&fields);
        let mut tables = outbox_tables();
        tables.retain(|table| table.table == "outbox" && table.schema == "sales");
        for table in &mut tables {
            // Neither is a text.
            table.columns = Columns { created_at: None, metadata: None, ..Columns::standard() };
        }
        let mut decoder = OutboxDecoder::new(tables, SYSTEM_IDENTIFIER);
        decode(&mut decoder, &relation);
        let Ok(Message::Insert { oid, tuple }) = Message::parse(&insert) else {
            return Err(TestCaseError::fail("not an insert"));
        };
        let envelope = decoder.envelope(oid, tuple, AT, Timestamp::default()).expect("an envelope");
        let text = |text: Option<&Text<'_>>| text.map(|text| text.as_bytes().to_vec());
        prop_assert_eq!(envelope.idempotency_key.as_bytes(), b"id");
        prop_assert_eq!(envelope.aggregate_type.as_bytes(), b"aggregate_type");
        prop_assert_eq!(envelope.topic.as_str(), "outbox.aggregate_type");
        prop_assert_eq!(text(envelope.key.as_ref()), Some(b"aggregate_id".to_vec()));
        prop_assert_eq!(text(envelope.event_type.as_ref()), Some(b"event_type".to_vec()));
        prop_assert_eq!(text(envelope.payload.as_ref()), Some(b"payload".to_vec()));
        prop_assert_eq!(text(envelope.version.as_ref()), Some(b"version".to_vec()));
    }

    #[test]
    fn a_row_that_was_refused_leaves_the_decoder_as_it_was(fields in fields()) {
        let mut decoder = OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER);
        let good: Vec<Field> = vec![
            ("id", 25, b'b', b"1".to_vec()),
            ("aggregate_type", 25, b'b', b"Order".to_vec()),
            ("aggregate_id", 25, b'b', b"k".to_vec()),
            ("payload", 25, b'b', b"p".to_vec()),
        ];
        let (relation, insert) = messages(&good);
        decode(&mut decoder, &relation);
        decode(&mut decoder, &messages(&fields).1);
        prop_assert_eq!(decode(&mut decoder, &insert), 1);
        decoder.forget_relations();
        prop_assert_eq!(decode(&mut decoder, &insert), 0);
    }

    /// Its bytes would be published in place of the number.
    #[test]
    fn a_small_number_of_a_domain_is_refused(number in 0_i64..1 << 56) {
        let fields: Vec<Field> = vec![
            ("id", 16_384, b'b', number.to_be_bytes().to_vec()),
            ("aggregate_type", 25, b'b', b"Order".to_vec()),
            ("aggregate_id", 25, b'b', b"k".to_vec()),
            ("payload", 25, b'b', b"p".to_vec()),
        ];
        let (relation, insert) = messages(&fields);
        let mut decoder = OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER);
        decode(&mut decoder, &relation);
        prop_assert_eq!(decode(&mut decoder, &insert), 0);
    }

    #[test]
    fn payloads_go_through_byte_for_byte(payload in vec(any::<u8>(), 0..200), type_oid in select(&[17_u32, 25, 114][..])) {
        let fields: Vec<Field> = vec![
            ("id", 25, b'b', b"1".to_vec()),
            ("aggregate_type", 25, b'b', b"Order".to_vec()),
            ("aggregate_id", 17, b'b', payload.clone()),
            ("payload", type_oid, b'b', payload.clone()),
        ];
        let (relation, insert) = messages(&fields);
        let mut decoder = OutboxDecoder::new(outbox_tables(), SYSTEM_IDENTIFIER);
        decode(&mut decoder, &relation);
        let Ok(Message::Insert { oid, tuple }) = Message::parse(&insert) else {
            return Err(TestCaseError::fail("not an insert"));
        };
        let envelope = decoder.envelope(oid, tuple, AT, Timestamp::default()).expect("an envelope");
        prop_assert_eq!(envelope.payload.as_ref().map(Text::as_bytes), Some(payload.as_slice()));
        prop_assert_eq!(envelope.key.as_ref().map(Text::as_bytes), Some(payload.as_slice()));
    }
}

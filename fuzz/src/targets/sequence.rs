//! Any bytes as a whole stream, through the decoder of outbox rows. The captures in `decoder/golden` are its seeds.

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::pgoutput::Message;
use outbox_decoder::stream::{StreamMessage, split_frame};
use outbox_decoder::{Lsn, Position, Timestamp};

use super::tables;

const FRAME_BYTES_MAX: usize = 1 << 16;

pub(crate) fn run(bytes: &[u8]) {
    let mut decoder = OutboxDecoder::new(tables::outbox_tables(), tables::SYSTEM_IDENTIFIER);
    let mut position = Position {
        commit_lsn: Lsn::ZERO,
        ordinal: 0,
        xid: 0,
    };
    let (mut rest, mut time) = (bytes, Timestamp::default());
    while let Ok(Some(frame)) = split_frame(rest, FRAME_BYTES_MAX) {
        rest = &rest[frame.bytes..];
        let Ok(StreamMessage::XLogData(message)) = StreamMessage::parse(frame.body) else {
            continue;
        };
        match Message::parse(message) {
            Ok(Message::Begin {
                commit_lsn,
                committed_at,
                xid,
            }) => {
                position = Position {
                    commit_lsn,
                    ordinal: 0,
                    xid,
                };
                time = committed_at;
            }
            Ok(Message::Relation(relation)) => {
                assert!(decoder.describe(&relation).is_ok());
            }
            Ok(Message::Type { oid, schema, name }) => decoder.describe_type(oid, schema, name),
            Ok(Message::Insert { oid, tuple }) => {
                if let Ok(envelope) = decoder.envelope(oid, tuple, position, time) {
                    let mut headers = 0;
                    envelope.for_each_header(|_, _| headers += 1);
                    assert_eq!(headers, envelope.header_count());
                    let _ = envelope.timestamp_ms();
                }
                position.ordinal = position.ordinal.wrapping_add(1);
            }
            Ok(Message::Origin { .. }) => decoder.forget_relations(),
            Ok(_) | Err(_) => {}
        }
    }
}

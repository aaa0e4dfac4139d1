//! Messages of the plugin: whatever their bytes are, reading them ends in a message or in an error.

use outbox_decoder::pgoutput::{Column, Message, TupleColumns};
use outbox_decoder::{DecodeError, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::captures::{captures, plugin_messages};

/// Every kind of protocol 1, kinds of later protocols, and one that is none.
const KINDS: &[u8] = b"BCORYIUDTMSEcAbPKrp?";

/// Reads everything that a message holds; a message that says it is valid must be valid to its end.
pub(crate) fn read_whole(bytes: &[u8]) -> Result<(), DecodeError> {
    match Message::parse(bytes)? {
        Message::Relation(relation) => {
            let mut columns = relation.columns();
            for column in &mut columns {
                column.expect("the columns of a description were checked when it was read");
            }
            assert_eq!(columns.next(), None);
            Ok(())
        }
        Message::Insert { tuple, .. } => {
            let (mut columns, mut read) = (tuple.columns(), 0);
            let last = by_column(&mut columns, &mut read);
            assert_eq!(columns.next(), None, "an error ends a row");
            assert!(read <= tuple.len());
            last?;
            assert_eq!(read, tuple.len());
            columns.end()
        }
        _ => Ok(()),
    }
}

fn by_column(columns: &mut TupleColumns<'_>, read: &mut usize) -> Result<(), DecodeError> {
    for column in columns {
        column?;
        *read += 1;
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_messages_panic(
        kind in prop_oneof![prop::sample::select(KINDS), any::<u8>()],
        rest in vec(prop_oneof![Just(0), Just(b'N'), Just(b't'), Just(1), any::<u8>()], 0..80),
    ) {
        let _ = read_whole(&[&[kind][..], &rest].concat());
    }

    #[test]
    fn no_change_of_captured_messages_makes_the_reader_panic(
        changes in vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..200),
    ) {
        let captures = captures();
        for (capture, bytes) in captures.iter().enumerate() {
            let messages = plugin_messages(bytes);
            for (message, place, byte) in changes.iter().skip(capture % 3) {
                let mut message = message.get(&messages).to_vec();
                *place.get_mut(&mut message) = *byte;
                let _ = read_whole(&message);
            }
        }
    }

    #[test]
    fn a_message_that_ends_early_or_late_is_refused(message in any::<Index>(), end in any::<Index>(), byte: u8) {
        let captures = captures();
        for bytes in &captures {
            let messages = plugin_messages(bytes);
            let message = *message.get(&messages);
            // Nothing is read of these but the oid: the relay has no use for them.
            if !matches!(message.first(), Some(b'U' | b'D' | b'T')) {
                prop_assert_eq!(read_whole(message), Ok(()));
                prop_assert!(read_whole(&message[..end.index(message.len())]).is_err());
                prop_assert!(read_whole(&[message, &[byte]].concat()).is_err());
            }
        }
    }

    #[test]
    fn a_row_gives_back_the_values_it_was_made_of(
        values in vec((prop::sample::select(&b"nutb"[..]), vec(any::<u8>(), 0..20)), 0..20),
    ) {
        let mut bytes = vec![b'I', 0, 0, 0, 9, b'N'];
        bytes.extend(u16::try_from(values.len()).expect("few columns").to_be_bytes());
        for (kind, value) in &values {
            bytes.push(*kind);
            if matches!(kind, b't' | b'b') {
                bytes.extend(u32::try_from(value.len()).expect("a short value").to_be_bytes());
                bytes.extend(value);
            }
        }
        let Ok(Message::Insert { oid: 9, tuple }) = Message::parse(&bytes) else {
            return Err(TestCaseError::fail("not an insert"));
        };
        let read: Result<Vec<_>, _> = tuple.columns().collect();
        let expected = values.iter().map(|(kind, value)| match kind {
            b'n' => Column::Null,
            b'u' => Column::Unchanged,
            b't' => Column::Text(value),
            _ => Column::Binary(value),
        });
        prop_assert_eq!(read, Ok(expected.collect()));
    }

    #[test]
    fn no_text_makes_the_reader_of_timestamps_panic(
        text in prop_oneof!["[-0-9]{1,25}[ T][0-9]{1,20}:[0-9]{1,20}:[0-9]{1,20}(\\.[0-9]{0,8})?([+-][0-9:]{0,9}|Z)?", ".{0,40}"],
    ) {
        let _ = Timestamp::from_iso_text(&text);
    }

    #[test]
    fn a_timestamp_is_read_back_from_its_text(
        (year, month, day) in (1_i64..=9999, 1_i64..=12, 1_i64..=28),
        (hour, minute, second, microsecond) in (0_i64..24, 0_i64..60, 0_i64..60, 0_i64..1_000_000),
        offset in -15_i64..=15,
    ) {
        let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{microsecond:06}{offset:+03}");
        // Days by counting: the slow way, in order to compare it with the fast one.
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_of = |month: i64| match month {
            2 => 28 + i64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let years: i64 = (1..year).map(|year| 365 + i64::from(leap(year))).sum();
        let days = years + (1..month).map(days_of).sum::<i64>() + day - 1 - 719_162;
        let seconds = ((days * 24 + hour - offset) * 60 + minute) * 60 + second;
        let expected = seconds * 1_000_000 + microsecond;
        prop_assert_eq!(Timestamp::from_iso_text(&text).map(Timestamp::as_unix_us), Some(expected));
    }
}

//! Rows of `COPY … TO STDOUT (FORMAT binary)`, made into the inserts that `pgoutput` would have sent of them: the values
//! have the same binary form there.
//!
//! Source: PostgreSQL documentation, "COPY", "Binary Format".

use bytes::{Buf, Bytes, BytesMut};

/// The signature, flags and an extension's length of 0: what every server sends.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A row with this many columns is the end.
const END: i16 = -1;
const NULL: i32 = -1;

/// How `pgoutput` sends a column's values: as a type without a binary form comes as text there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Binary,
    Text,
}

/// A row: what was selected in front of its columns, and the insert of these.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CopiedRow {
    /// Microseconds since the Unix epoch.
    pub(super) at_us: Option<i64>,
    pub(super) id: Option<String>,
    /// A `pgoutput` message.
    pub(super) insert: Vec<u8>,
}

/// Bytes that are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("COPY gave {0}")]
pub(super) struct NotACopy(&'static str);

/// Takes the bytes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct CopyReader {
    buffer: BytesMut,
    has_header: bool,
    is_over: bool,
}

impl CopyReader {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next row, if it is there as a whole: a bigint, a text, then columns of these forms.
    pub(super) fn next(&mut self, oid: u32, forms: &[Form]) -> Result<Option<CopiedRow>, NotACopy> {
        if !self.has_header {
            if self.buffer.len() < HEADER.len() {
                return Ok(None);
            }
            if self.buffer.split_to(HEADER.len()) != HEADER {
                return Err(NotACopy("another header than it has"));
            }
            self.has_header = true;
        }
        if self.is_over {
            return Ok(None);
        }
        let Some((columns, bytes)) = whole_row(&self.buffer)? else {
            return Ok(None);
        };
        let row = self.buffer.split_to(bytes).freeze();
        if columns == END {
            self.is_over = true;
            return Ok(None);
        }
        if usize::try_from(columns) != Ok(forms.len() + 2) {
            return Err(NotACopy("a row with another number of columns than were selected"));
        }
        copied(row, oid, forms).map(Some)
    }

    /// Whether the end was said.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }
}

/// The number of columns and the length of the first row, once all of it is there.
fn whole_row(buffer: &[u8]) -> Result<Option<(i16, usize)>, NotACopy> {
    let mut rest = buffer;
    let Ok(columns) = rest.try_get_i16() else {
        return Ok(None);
    };
    for _ in 0..columns.max(0) {
        let Ok(length) = rest.try_get_i32() else {
            return Ok(None);
        };
        if length == NULL {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| NotACopy("a negative length"))?;
        if rest.len() < length {
            return Ok(None);
        }
        rest.advance(length);
    }
    Ok(Some((columns, buffer.len() - rest.len())))
}

/// `row` is known to be whole.
fn copied(mut row: Bytes, oid: u32, forms: &[Form]) -> Result<CopiedRow, NotACopy> {
    row.advance(size_of::<i16>());
    let at_us = match field(&mut row) {
        None => None,
        Some(bytes) => Some(i64::from_be_bytes(
            bytes[..]
                .try_into()
                .map_err(|_| NotACopy("a bigint of another length"))?,
        )),
    };
    let id = field(&mut row).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let columns = u16::try_from(forms.len()).map_err(|_| NotACopy("more columns than a row can have"))?;
    let mut insert = Vec::with_capacity(row.len() + 8 + forms.len());
    insert.push(b'I');
    insert.extend(oid.to_be_bytes());
    insert.push(b'N');
    insert.extend(columns.to_be_bytes());
    for form in forms {
        match field(&mut row) {
            None => insert.push(b'n'),
            Some(value) => {
                insert.push(if *form == Form::Binary { b'b' } else { b't' });
                // It was a positive i32 a moment ago.
                insert.extend(u32::try_from(value.len()).unwrap_or_default().to_be_bytes());
                insert.extend(&value);
            }
        }
    }
    Ok(CopiedRow { at_us, id, insert })
}

fn field(row: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(row.try_get_i32().ok()?).ok()?;
    Some(row.split_to(length.min(row.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
        for field in fields {
            match field {
                None => bytes.extend(NULL.to_be_bytes()),
                Some(value) => {
                    bytes.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                    bytes.extend(*value);
                }
            }
        }
        bytes
    }

    fn copy() -> Vec<u8> {
        let at = 7_i64.to_be_bytes();
        let rows = [
            row(&[Some(&at), Some(b"a1"), Some(b"\x00\x01"), Some(b"text"), None]),
            row(&[None, None, None, Some(b""), Some(b"x")]),
        ];
        [HEADER, &rows.concat(), &END.to_be_bytes()].concat()
    }

    const FORMS: [Form; 3] = [Form::Binary, Form::Text, Form::Binary];

    fn expected() -> [CopiedRow; 2] {
        let insert = |rest: &[u8]| [b"I\0\0\0\x09N\0\x03", rest].concat();
        [
            CopiedRow {
                at_us: Some(7),
                id: Some("a1".to_owned()),
                insert: insert(b"b\0\0\0\x02\x00\x01t\0\0\0\x04textn"),
            },
            CopiedRow {
                at_us: None,
                id: None,
                insert: insert(b"nt\0\0\0\0b\0\0\0\x01x"),
            },
        ]
    }

    #[test]
    fn rows_are_read_from_pieces_of_any_size() {
        for size in [1, 3, 1000] {
            let (mut reader, mut rows) = (CopyReader::default(), Vec::new());
            for piece in copy().chunks(size) {
                reader.push(piece);
                while let Some(row) = reader.next(9, &FORMS).expect("a copy") {
                    rows.push(row);
                }
            }
            assert_eq!(rows, expected(), "in pieces of {size}");
            assert!(reader.is_over());
        }
    }

    #[test]
    fn a_copy_that_ends_early_is_not_over() {
        let (mut reader, whole) = (CopyReader::default(), copy());
        reader.push(&whole[..whole.len() - 2]);
        while reader.next(9, &FORMS).expect("a copy").is_some() {}
        assert!(!reader.is_over());
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        let mut other_header = copy();
        other_header[0] = b'X';
        let negative = [HEADER, &5_i16.to_be_bytes(), &(-2_i32).to_be_bytes()].concat();
        let short_bigint = [HEADER, &row(&[Some(b"x"), None, None, None, None])].concat();
        let two_columns = [HEADER, &row(&[None, None])].concat();
        for bytes in [other_header, negative, short_bigint, two_columns] {
            let mut reader = CopyReader::default();
            reader.push(&bytes);
            assert!(reader.next(9, &FORMS).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_insert_made_of_a_copied_row_reads_as_one_of_the_stream() {
        use outbox_decoder::pgoutput::{Column, Message};

        let mut reader = CopyReader::default();
        reader.push(&copy());
        let copied = reader.next(9, &FORMS).expect("a copy").expect("a row");
        let Ok(Message::Insert { oid: 9, tuple }) = Message::parse(&copied.insert) else {
            panic!("no insert: {copied:?}");
        };
        let columns: Result<Vec<_>, _> = tuple.columns().collect();
        assert_eq!(
            columns,
            Ok(vec![Column::Binary(&[0, 1]), Column::Text(b"text"), Column::Null])
        );
    }
}

//! Messages of the `pgoutput` plugin, protocol version 1.
//!
//! Source: PostgreSQL documentation, "Logical Replication Message Formats"; `src/backend/replication/logical/proto.c`.
//! Messages of later protocols are recognised and refused by name: the relay does not ask for them.

mod relation;
mod tuple;

pub use relation::{RelationBody, RelationColumn, RelationColumns};
pub use tuple::{Column, Tuple, TupleColumns};

use crate::wire::Reader;
use crate::{CommitPosition, DecodeError, Lsn, Timestamp};

/// One message of the plugin, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins. Its rows follow, in the order of their insertion, then its Commit.
    Begin {
        /// Start of the commit record: the transaction's commit LSN.
        commit_lsn: Lsn,
        /// When it committed.
        committed_at: Timestamp,
        /// Its id.
        xid: u32,
    },
    /// The transaction is complete.
    Commit {
        /// Both ends of the commit record.
        position: CommitPosition,
        /// When it committed.
        committed_at: Timestamp,
    },
    /// The transaction was replayed here by another replication.
    Origin {
        /// Name of that replication.
        name: &'a str,
    },
    /// Describes a table; comes before its first row, after every change of the table, and also for no visible reason.
    Relation(RelationBody<'a>),
    /// Names a type that is not built in.
    Type {
        /// The type's oid.
        oid: u32,
        /// Its schema; empty for `pg_catalog`.
        schema: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A row was inserted.
    Insert {
        /// The table it belongs to.
        oid: u32,
        /// The row.
        tuple: Tuple<'a>,
    },
    /// A row was updated.
    Update {
        /// The table it belongs to.
        oid: u32,
    },
    /// A row was deleted.
    Delete {
        /// The table it belonged to.
        oid: u32,
    },
    /// Tables were truncated.
    Truncate {
        /// How many.
        tables: u32,
    },
    /// `pg_logical_emit_message` was called.
    Logical {
        /// Part of the surrounding transaction. One that is not arrives even when that transaction rolls back.
        transactional: bool,
        /// The caller's prefix.
        prefix: &'a str,
        /// The caller's bytes.
        content: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// Bytes that are not a message of protocol 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (&tag, body) = bytes.split_first().ok_or(DecodeError::Truncated {
            message: "pgoutput message",
            missing: 1,
        })?;
        match tag {
            b'I' => insert(body),
            b'B' => begin(body),
            b'C' => commit(body),
            b'R' => RelationBody::parse(body).map(Message::Relation),
            b'O' => origin(body),
            b'Y' => type_name(body),
            b'U' => update(body),
            b'D' => delete(body),
            b'T' => truncate(body),
            b'M' => logical(body),
            other => Err(not_protocol_1(other)),
        }
    }
}

fn not_protocol_1(tag: u8) -> DecodeError {
    let (name, protocol) = match tag {
        b'S' => ("Stream Start", 2),
        b'E' => ("Stream Stop", 2),
        b'c' => ("Stream Commit", 2),
        b'A' => ("Stream Abort", 2),
        b'b' => ("Begin Prepare", 3),
        b'P' => ("Prepare", 3),
        b'K' => ("Commit Prepared", 3),
        b'r' => ("Rollback Prepared", 3),
        b'p' => ("Stream Prepare", 3),
        byte => {
            return DecodeError::UnknownByte {
                message: "pgoutput message",
                what: "message kind",
                byte,
            };
        }
    };
    DecodeError::UnsupportedMessage { name, protocol }
}

fn begin(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Begin");
    let message = Message::Begin {
        commit_lsn: reader.lsn()?,
        committed_at: reader.timestamp()?,
        xid: reader.u32()?,
    };
    reader.end()?;
    Ok(message)
}

fn commit(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Commit");
    reader.u8()?;
    let position = CommitPosition::new(reader.lsn()?, reader.lsn()?)?;
    let committed_at = reader.timestamp()?;
    reader.end()?;
    Ok(Message::Commit { position, committed_at })
}

fn origin(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Origin");
    reader.lsn()?;
    let name = reader.cstr()?;
    reader.end()?;
    Ok(Message::Origin { name })
}

fn type_name(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Type");
    let message = Message::Type {
        oid: reader.u32()?,
        schema: reader.cstr()?,
        name: reader.cstr()?,
    };
    reader.end()?;
    Ok(message)
}

fn insert(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Insert");
    let oid = reader.u32()?;
    let tuple = Tuple::parse(&mut reader, "Insert")?;
    Ok(Message::Insert { oid, tuple })
}

fn update(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Update");
    Ok(Message::Update { oid: reader.u32()? })
}

fn delete(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Delete");
    Ok(Message::Delete { oid: reader.u32()? })
}

fn truncate(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Truncate");
    Ok(Message::Truncate { tables: reader.u32()? })
}

fn logical(body: &[u8]) -> Result<Message<'_>, DecodeError> {
    let mut reader = Reader::new(body, "Message");
    let transactional = reader.u8()? & 1 == 1;
    reader.lsn()?;
    let prefix = reader.cstr()?;
    let length = reader.length()?;
    let content = reader.take(length)?;
    reader.end()?;
    Ok(Message::Logical {
        transactional,
        prefix,
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_later_protocols_are_refused_by_name() {
        for (tag, name, protocol) in [
            (b'S', "Stream Start", 2),
            (b'E', "Stream Stop", 2),
            (b'c', "Stream Commit", 2),
            (b'A', "Stream Abort", 2),
            (b'b', "Begin Prepare", 3),
            (b'P', "Prepare", 3),
            (b'K', "Commit Prepared", 3),
            (b'r', "Rollback Prepared", 3),
            (b'p', "Stream Prepare", 3),
        ] {
            assert_eq!(
                Message::parse(&[tag]),
                Err(DecodeError::UnsupportedMessage { name, protocol })
            );
        }
    }

    #[test]
    fn a_row_is_read_column_by_column() {
        let bytes = [
            b'I', 0, 0, 0, 9, b'N', 0, 4, b'n', b'u', b't', 0, 0, 0, 1, b'x', b'b', 0, 0, 0, 2, 7, 8,
        ];
        let Ok(Message::Insert { oid: 9, tuple }) = Message::parse(&bytes) else {
            panic!("not an insert")
        };
        let mut columns = tuple.columns();
        let read: Result<Vec<_>, _> = columns.by_ref().collect();
        assert_eq!(
            read,
            Ok(vec![
                Column::Null,
                Column::Unchanged,
                Column::Text(b"x"),
                Column::Binary(&[7, 8])
            ])
        );
        assert_eq!(columns.end(), Ok(()));
    }

    #[test]
    fn a_row_that_ends_early_is_an_error_and_ends_the_iteration() {
        let bytes = [b'I', 0, 0, 0, 9, b'N', 0, 2, b't', 0, 0, 0, 9, b'x'];
        let Ok(Message::Insert { tuple, .. }) = Message::parse(&bytes) else {
            panic!("not an insert")
        };
        let read: Vec<_> = tuple.columns().collect();
        assert_eq!(
            read,
            [Err(DecodeError::Truncated {
                message: "row",
                missing: 8
            })]
        );
    }

    #[test]
    fn a_relation_with_fewer_columns_than_it_says_is_refused() {
        let mut bytes = vec![b'R', 0, 0, 0, 1, b's', 0, b't', 0, b'd', 0, 2];
        bytes.extend([0, b'a', 0, 0, 0, 0, 25, 255, 255, 255, 255]);
        assert!(matches!(
            Message::parse(&bytes),
            Err(DecodeError::Truncated {
                message: "Relation",
                ..
            })
        ));
        bytes[11] = 1;
        let Ok(Message::Relation(body)) = Message::parse(&bytes) else {
            panic!("not a relation")
        };
        let columns: Vec<_> = body.columns().collect();
        assert_eq!(
            columns,
            [Ok(RelationColumn {
                name: "a",
                type_oid: 25
            })]
        );
    }

    #[test]
    fn a_negative_length_is_refused() {
        let bytes = [b'I', 0, 0, 0, 9, b'N', 0, 1, b't', 255, 255, 255, 255];
        let Ok(Message::Insert { tuple, .. }) = Message::parse(&bytes) else {
            panic!("not an insert")
        };
        let first = tuple.columns().next();
        assert_eq!(
            first,
            Some(Err(DecodeError::NegativeLength {
                message: "row",
                length: -1
            }))
        );
    }
}

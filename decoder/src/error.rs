//! What can be wrong with bytes from the server, and with a row that does not fit its mapping.

use crate::{Lsn, TopicNameError};

/// Bytes that are not what the protocol says. The connection that sent them is given up; nothing was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A frame says that it is shorter than its own length field.
    #[error("the server sent a frame with the impossible length {length}")]
    FrameLength {
        /// The length field, which counts itself.
        length: u32,
    },
    /// A frame is larger than the configured bound.
    #[error(
        "the server sent a frame of {bytes} bytes and at most {bytes_max} are allowed; \
         raise postgres.frame_bytes_max if rows this large are meant"
    )]
    FrameTooLarge {
        /// Size of the frame.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A message ends early.
    #[error("{message} ends {missing} bytes early")]
    Truncated {
        /// Name of the message.
        message: &'static str,
        /// How many bytes are missing, at least.
        missing: usize,
    },
    /// A message has bytes left over.
    #[error("{message} has {surplus} bytes too many")]
    Surplus {
        /// Name of the message.
        message: &'static str,
        /// How many.
        surplus: usize,
    },
    /// A length below zero.
    #[error("{message} holds the impossible length {length}")]
    NegativeLength {
        /// Name of the message.
        message: &'static str,
        /// The length.
        length: i32,
    },
    /// A name that is not UTF-8 although the connection asked for UTF-8.
    #[error("{message} holds a name that is not UTF-8")]
    NameNotUtf8 {
        /// Name of the message.
        message: &'static str,
    },
    /// A byte that must be one of a few is another.
    #[error("{message} holds the unknown {what} {byte:#04x}")]
    UnknownByte {
        /// Name of the message.
        message: &'static str,
        /// What the byte stands for.
        what: &'static str,
        /// The byte.
        byte: u8,
    },
    /// A message of a protocol version that was not asked for.
    #[error("the server sent {name}, which belongs to pgoutput protocol {protocol}; the relay asks for protocol 1")]
    UnsupportedMessage {
        /// Name of the message.
        name: &'static str,
        /// The protocol version that has it.
        protocol: u8,
    },
    /// A commit record that ends before it starts.
    #[error("the server sent a commit that starts at {commit_lsn} and ends at {end_lsn}")]
    CommitEndsBeforeItStarts {
        /// Its start.
        commit_lsn: Lsn,
        /// Its end.
        end_lsn: Lsn,
    },
    /// Messages in an order that the protocol does not know.
    #[error("the server sent {message} {place}")]
    OutOfPlace {
        /// Name of the message.
        message: &'static str,
        /// Where it came.
        place: &'static str,
    },
    /// An insert into a table that was never described.
    #[error("the server sent a row of table oid {oid} without describing that table first")]
    UnknownRelation {
        /// The table's oid.
        oid: u32,
    },
}

/// A row that was read and does not fit what the configuration says of its table.
///
/// It names columns and types, never values: rows do not belong in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The publication sends a table that the configuration does not know.
    #[error("table {table} is published and no outbox of the configuration is mapped to it")]
    UnmappedTable {
        /// `schema.name`.
        table: String,
    },
    /// A mapped column does not exist.
    #[error("table {table} has no column {column:?}, which is mapped as its {part}")]
    MissingColumn {
        /// `schema.name`.
        table: String,
        /// The column.
        column: String,
        /// The part it plays.
        part: &'static str,
    },
    /// A row with another number of columns than its table.
    #[error("a row of {table} has {sent} columns, the table was described with {described}")]
    ColumnCount {
        /// `schema.name`.
        table: String,
        /// Columns in the row.
        sent: usize,
        /// Columns in the description.
        described: usize,
    },
    /// NULL where a value is needed.
    #[error("the {part} of a row of {table} is NULL")]
    Null {
        /// `schema.name`.
        table: String,
        /// The part.
        part: &'static str,
    },
    /// A value that its part cannot be made of.
    #[error("the {part} of a row of {table} cannot be read: {why}")]
    Unreadable {
        /// `schema.name`.
        table: String,
        /// The part.
        part: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The template gives a name that Kafka does not allow.
    #[error("a row of {table} would go to an impossible topic: {source}")]
    Topic {
        /// `schema.name`.
        table: String,
        /// What is wrong with the name.
        source: TopicNameError,
    },
}

impl MappingError {
    /// Whether the row is to blame. Otherwise no row of its table can be read, and somebody has made a mistake outside.
    pub const fn is_of_the_row(&self) -> bool {
        matches!(self, Self::Null { .. } | Self::Unreadable { .. } | Self::Topic { .. })
    }
}

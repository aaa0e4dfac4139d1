//! PostgreSQL logical replication bytes in, outbox envelopes out.
//!
//! The way through is one direction and has no I/O, no clock and no thread:
//!
//! 1. [`stream`] cuts the server's bytes into frames and reads the replication messages in them;
//! 2. [`pgoutput`] reads the plugin's messages: Begin, Relation, Insert, Commit and their kin;
//! 3. [`outbox`] turns the insert of an outbox row into an [`Envelope`].
//!
//! Everything borrows from the buffer that was read from the socket. Nothing here panics on input: what cannot be
//! read is a [`DecodeError`], what can be read and does not fit the table's mapping is a [`MappingError`].

#![forbid(unsafe_code)]

mod error;
mod lsn;
pub mod outbox;
pub mod pgoutput;
mod position;
pub mod stream;
mod text;
mod timestamp;
mod topic;
mod wire;

pub use error::{DecodeError, MappingError};
pub use lsn::{Lsn, ParseLsnError};
pub use outbox::{Columns, Envelope, IdempotencyKey, OutboxTable};
pub use position::{CommitPosition, Position};
pub use text::Text;
pub use timestamp::Timestamp;
pub use topic::{TopicName, TopicNameError, TopicTemplate, TopicTemplateError};

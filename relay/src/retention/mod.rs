//! Retention: outbox rows that are published and old enough are removed, archived before if that is wanted.
//!
//! What may be removed is decided in the database, by the functions of `migrations/V7__retention.sql`, which say why it is
//! right. The janitor's role has no other way to remove anything. Here is when that happens, in which order, and how fast:
//!
//! ```text
//!   take a mark ─► the newest mark that is confirmed and old enough ─► for each table:
//!       drop partitions that are over ─► walk over the rest, block by block ─► tell the audit trail
//!                         └── archive what is about to go, first ──┘
//! ```
//!
//! How old a row is, is the age of the oldest mark that has it before its horizon: by the database's own clock, the same for
//! every table, whatever the application writes into a column. So the first rows go `keep_days` after the first mark.

mod archiver;
mod error;
mod expiry;
mod janitor;
mod mark;
mod pace;
mod partitions;
mod report;
mod round;
mod session;
mod slot;
mod table;
mod walk;

pub(crate) use error::RetentionError;
pub(crate) use janitor::Janitor;
pub(crate) use pace::Patience;
pub(crate) use report::{Report, TableReport};
pub(crate) use round::Round;
pub(crate) use session::JanitorSession;
pub(crate) use slot::{slot_begins, slot_ends};

//! Records that are published outside of the line: rows that are only in the table, and whatever else is kept ready-made.
//!
//! Nothing here has a position in the stream, so nothing here confirms anything, and nothing is promised of the order
//! between a replay and the line. What makes a replay harmless is the idempotency key, which is the row's own. Rows without
//! an id have none that could be made again: they cannot be replayed.

mod copy;
mod rows;
mod table;

pub use crate::kafka::{Publisher, Record};
pub use rows::{ReadRow, Rows, RowsError, Selection};
pub use table::Table;

/// Says that a record is published once more, and by what.
pub const REPLAY_HEADER: &str = "replay";
/// When the event happened: a replayed record's own timestamp is the time at which it is sent, because a topic may refuse
/// an old one, or delete the record at once.
pub const OCCURRED_AT_HEADER: &str = "occurred_at";

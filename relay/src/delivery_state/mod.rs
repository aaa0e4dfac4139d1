//! What became of each event, kept in the database for those who must have it there. Off by default: it costs a write for
//! each event.
//!
//! ```text
//!  delivery ── acknowledged ──► journal ── notes ──► queue ──► writer, on a thread and a connection of its own
//!                                  │                              │
//!  pipeline ◄── acknowledged ──────┘ ◄────────── written ─────────┘
//! ```
//!
//! For the pipeline a record counts as acknowledged when its note is written: nothing is confirmed before, a relay that is killed
//! comes to it again, and what is in flight bounds what waits here. What becomes of dead letters is noted by the
//! database itself, in the transaction that says so.

mod ids;
mod journal;
mod queue;
mod statement;
mod writer;

pub(crate) use journal::Journal;

/// What the simulation needs to be a writer.
#[cfg(test)]
pub(crate) mod simulated {
    pub(crate) use super::queue::{Entry, Queue};
}

//! Rows that are set aside: kept in a table of the source database until somebody has them published, or lets them go.
//!
//! ```text
//!  pipeline ── set aside ─┐                        ┌─► table.rs: SQL, on a connection of its own
//!  delivery ── given up ──┴─► desk.rs ─ask─► clerk.rs
//!                               │  ▲ ───answer──── └─► committed, marked, freed
//!  producer ◄── redrive.rs ─────┘
//! ```
//!
//! The desk is pure: it says what is to be asked of the table next, and what an answer means to the pipeline. A letter counts
//! when its transaction is committed, and is passed by what is confirmed when the stream has reached that commit. Letters are
//! changed by the relay that streams, and by no other: claim.rs.

mod claim;
mod clerk;
mod desk;
mod herald;
mod letter;
mod redrive;
mod standing;
mod table;

pub(crate) use claim::Claim;
pub(crate) use clerk::{Clerk, Owner, Place};
#[cfg(test)]
pub(crate) use desk::Ask;
pub(crate) use desk::{Answer, Desk};
pub(crate) use letter::{Failure, GivenUp, Letter};
#[cfg(test)]
pub(crate) use redrive::Marked;
pub(crate) use redrive::{Counts, Outgoing};
pub(crate) use standing::{lsn as read_lsn, read_controls, read_figures, read_standing};
pub(crate) use table::{NOTHING_PAUSED_BEFORE, read_headers};

//! Tells topics, where they are configured, what has become of rows that are set aside, and how far the audit trail is.
//!
//! ```text
//!  desk ── committed ──► wake ─► teller.rs ─┬─ letters.rs: those that nobody was told of ──┐
//!                                           └─ head.rs: the newest head of the trail ──────┴─► post.rs ─► Kafka
//! ```
//!
//! The tables stay the truth, a topic is a notice. Which letters are still to be told is written in the table with them, so
//! that nothing is kept in memory, a kill loses no notice, and nothing of the line ever waits for one.

mod head;
mod letters;
mod post;
mod record;
mod teller;

pub(crate) use teller::Notices;

//! The decoder against what real `PostgreSQL` servers sent, and against what no server ever sends.
//!
//! `decoder/golden` holds captures of `PostgreSQL` 14 to 18; `tests/src/bin/capture.rs` makes them anew. The golden
//! tests compare them with one expected text, the properties cut, change and make up bytes.

mod captures;
mod frames;
mod golden;
mod messages;
mod names;
mod outbox;
mod render;
mod tables;

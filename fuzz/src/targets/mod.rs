//! One module a target.

pub(crate) mod config;
pub(crate) mod frames;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod metadata;
pub(crate) mod pipeline;
pub(crate) mod sequence;
#[path = "../../../decoder/tests/wire/tables.rs"]
mod tables;

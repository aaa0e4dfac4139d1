//! outbox-relay: moves outbox rows from a PostgreSQL logical replication slot into Kafka without losing one.

pub mod admin;
mod archive;
pub mod backoff;
pub mod clock;
pub mod commands;
pub mod config;
mod dead_letter;
mod delivery_state;
pub mod fault;
mod hex;
mod kafka;
mod line;
mod notice;
pub mod pipeline;
pub mod postgres;
mod program;
pub mod replay;
mod retention;
#[cfg(test)]
mod simulation;
mod size;
pub mod telemetry;

pub use kafka::producer_config;

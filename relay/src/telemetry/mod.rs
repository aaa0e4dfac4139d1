//! What people and machines can see of the relay: its state, its numbers, its log.

#[cfg(test)]
mod alerts;
mod health;
mod heartbeat;
mod logging;
mod metrics;

pub use health::{Condition, Health, Letters, Part, Phase, Snapshot};
pub use heartbeat::Heartbeat;
pub use logging::{finish as finish_logging, start as start_logging};
pub use metrics::{Metrics, RetentionState, SlotFigures, lsn_bytes};

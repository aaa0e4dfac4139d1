//! `outbox-relay dead-letters redrive --execute`: publishes what is marked where no relay does.

use super::{Failure, Refusal};
use crate::config::Settings;

/// Holds the slot, so that no relay publishes meanwhile, and publishes what is marked in the relay's own order. Outside of
/// any runtime: it may start what it needs.
pub(super) fn publish_marked(settings: &Settings) -> Result<(), Failure> {
    Err(Failure::new(
        Refusal::NotThereYet,
        format!(
            "dead letters of slot {} cannot be published without a relay yet; what is marked stays marked",
            settings.postgres.slot
        ),
        "start the relay, which publishes them",
    ))
}

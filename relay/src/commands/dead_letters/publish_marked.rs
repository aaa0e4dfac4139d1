//! `outbox-relay dead-letters redrive --execute`: publishes what is marked where no relay does, by being one for that long.
//!
//! A marked letter may not overtake rows before it that were never published: the stream has to bring them first. So this
//! streams from the slot like every relay, and thereby holds it; when nothing is marked any more, it drains and ends.

use super::Failure;
use crate::commands::run::run;
use crate::config::Settings;
use crate::line::Purpose;

/// Holds the slot, so that no relay publishes meanwhile, and publishes what is marked in the relay's own order. Outside of
/// any runtime: it starts its own.
pub(super) fn publish_marked(settings: &Settings) -> Result<(), Failure> {
    run(settings.clone(), Purpose::Redrive)
}

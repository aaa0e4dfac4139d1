//! The Kafka side: a producer that keeps order, reads every delivery report, and stops at the first that failed.
//!
//! Confirmed is only what a delivery report confirms. `flush` proves nothing and is not used.

mod acceptance;
mod certificate;
mod compaction;
mod connection;
mod credentials;
mod delivery;
mod dial;
mod expectation;
mod in_flight;
mod introduction;
mod murmur2;
mod outlet;
mod policy;
mod produce;
mod producer;
mod properties;
mod publisher;
mod questions;
mod reader;
mod refused;
mod reports;
mod stall;
mod start_error;
mod token;

pub(crate) use acceptance::accept;
pub(crate) use compaction::{Compaction, compaction};
pub(crate) use delivery::Delivery;
pub(crate) use produce::Producers;
pub use properties::producer_config;
pub use publisher::{Publisher, Record};
pub(crate) use reader::{ReadBack, Stretch, TopicReader};
pub(crate) use reports::Failed;
pub(crate) use start_error::StartError;

/// What the simulation needs to be a producer.
#[cfg(test)]
pub(crate) mod simulated {
    pub(crate) use super::delivery::{Delivery, FOLLOWERS_GO_ON};
    pub(crate) use super::introduction::NOBODY_IS_INTRODUCED;
    pub(crate) use super::murmur2::hash;
    pub(crate) use super::produce::{NotTaken, Produce, Producers};
    pub(crate) use super::properties::Batching;
    pub(crate) use super::reports::{Failed, Reports};
    pub(crate) use super::start_error::StartError;
}

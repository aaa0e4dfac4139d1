//! What the relay is compared with.

use super::Options;
use super::connection;
use super::debezium::Debezium;
use super::distribution::Distribution;
use super::other::Other;
use crate::carrier::Carrier;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::topic::Topic;

/// One of them.
pub(super) struct Peer {
    /// What its numbers are called.
    pub(super) label: &'static str,
    /// What exactly was run.
    pub(super) version: String,
    pub(super) carrier: Box<dyn Carrier>,
    pub(super) topic: Topic,
}

/// Debezium Server and the other relay, as far as they were asked for, each with a topic.
pub(super) fn all(
    distribution: Option<Distribution>,
    options: &Options,
    installation: &Installation,
    interrupt: &Interrupt,
) -> Result<Vec<Peer>, Failure> {
    let values = connection::values(installation);
    let mut peers = Vec::new();
    if let Some(distribution) = distribution {
        peers.push(Peer {
            label: "debezium",
            version: distribution.version(),
            carrier: Box::new(Debezium::new(
                distribution,
                installation.folder(),
                &values,
                options,
                interrupt,
            )?),
            topic: installation.make_topic(&Debezium::topic(), interrupt)?,
        });
    }
    if let Some(command) = &options.other {
        peers.push(Peer {
            label: "other",
            version: command.clone(),
            carrier: Box::new(Other::new(command, installation.folder(), &values)?),
            topic: installation.make_topic(&Other::topic(), interrupt)?,
        });
    }
    Ok(peers)
}

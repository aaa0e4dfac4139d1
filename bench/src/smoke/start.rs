//! From the start of the relay to its first record, with brokers that are warm.

use std::time::Duration;

use crate::backlog::{self, Payload};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::relay::Relay;

const SLOT: &str = "start";
const LOOK_AGAIN: Duration = Duration::from_millis(2);
const LIMIT: Duration = Duration::from_mins(1);

/// Milliseconds from the start of the program until the one row that waits is in Kafka, for each start.
pub(super) fn measure(installation: &Installation, starts: u32, interrupt: &Interrupt) -> Result<Vec<f64>, Failure> {
    installation.database.create_slot(SLOT)?;
    let progress = Progress::new("starting on a single row", starts);
    let mut milliseconds = Vec::new();
    for done in 1..=starts {
        milliseconds.push(start_once(installation, interrupt)?.as_secs_f64() * 1e3);
        progress.set(done);
    }
    Ok(milliseconds)
}

fn start_once(installation: &Installation, interrupt: &Interrupt) -> Result<Duration, Failure> {
    backlog::fill_at_once(&installation.database, 1, Payload::USUAL)?;
    let before = installation.topic.records()?;
    let mut relay = installation.relay.run(SLOT, &[])?;
    while installation.topic.records()? <= before {
        relay.expect_running("publish the row that waits", LIMIT)?;
        interrupt.pass(LOOK_AGAIN)?;
    }
    let took = relay.spawned_at().elapsed();
    Relay::stop(relay, interrupt)?;
    Ok(took)
}

//! Many letters: set aside, and published again.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::backlog::{Filling, Keys, Payload, PayloadType, ROWS_PER_TRANSACTION};
use crate::child::Child;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::{Relay, SLOT};
use crate::{backlog, progress};

/// Larger than the producer may send while they are set aside.
const ROW_BYTES: u32 = 1_300;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_mins(15);
/// The outbox's usual topic, and as many keys as there are letters.
const SETTINGS: [&str; 2] = [
    "outbox.default.on_defect=set_aside",
    "dead_letters.parked_keys_max=10000000",
];
/// The least that librdkafka knows.
const SMALL_MESSAGES: &str = "kafka.properties.message.max.bytes=1000";

/// How long each of both took.
#[derive(Debug, Serialize)]
pub(super) struct Redriven {
    pub(super) letters: u32,
    /// From the relay's start until the last one was in the table.
    pub(super) set_aside_s: f64,
    /// From the start of the command until it had marked them.
    pub(super) marked_s: f64,
    /// From there on, or from before, until the brokers had the last one.
    pub(super) published_s: f64,
    /// Until the table said so too.
    pub(super) resolved_s: f64,
}

/// Fills in rows, has them set aside, and has them redriven by the command while a relay runs.
pub(super) fn measure(installation: &Installation, letters: u32, interrupt: &Interrupt) -> Result<Redriven, Failure> {
    let database = &installation.database;
    database.create_slot(SLOT)?;
    let filling = Filling {
        rows: letters,
        rows_per_transaction: ROWS_PER_TRANSACTION,
        payload: Payload::of_row(ROW_BYTES),
        payload_type: PayloadType::Json,
        keys: Keys::Distinct,
    };
    filling.fill(database)?;
    progress::step(&format!("{letters} rows are set aside"));
    let set_aside = started(installation, &[SMALL_MESSAGES])?;
    let begin = Instant::now();
    let set_aside = until(set_aside, interrupt, || letters_in("failed", installation, letters))?;
    let set_aside_s = begin.elapsed().as_secs_f64();
    Relay::stop(set_aside, interrupt)?;

    progress::step("and redriven");
    let mut relay = started(installation, &[])?;
    installation.attached(&mut relay, SLOT, interrupt)?;
    let before = installation.topic.records()?;
    let begin = Instant::now();
    installation.administrate(
        &[
            "dead-letters",
            "redrive",
            "--all",
            "--yes",
            "--no-wait",
            "--reason",
            "bench",
        ],
        interrupt,
    )?;
    let marked_s = begin.elapsed().as_secs_f64();
    let relay = until(relay, interrupt, || {
        Ok(installation.topic.records()? - before >= i64::from(letters))
    })?;
    let published_s = begin.elapsed().as_secs_f64();
    let relay = until(relay, interrupt, || letters_in("redriven", installation, letters))?;
    let resolved_s = begin.elapsed().as_secs_f64();
    Relay::stop(relay, interrupt)?;
    database.drop_slot(SLOT)?;
    backlog::take_away(database)?;
    Ok(Redriven {
        letters,
        set_aside_s,
        marked_s,
        published_s,
        resolved_s,
    })
}

fn started(installation: &Installation, more: &[&str]) -> Result<Child, Failure> {
    let settings = SETTINGS.iter().chain(more).map(|setting| (*setting).to_owned());
    installation.relay.run(SLOT, &settings.collect::<Vec<_>>())
}

fn letters_in(state: &str, installation: &Installation, letters: u32) -> Result<bool, Failure> {
    let of = format!("outbox_relay.dead_letters WHERE state = '{state}'");
    Ok(installation.database.count(&of)? >= i64::from(letters))
}

/// Waits, and gives the relay back.
fn until(
    mut relay: Child,
    interrupt: &Interrupt,
    is_done: impl Fn() -> Result<bool, Failure>,
) -> Result<Child, Failure> {
    while !is_done()? {
        relay.expect_running("come to the last letter", LIMIT)?;
        interrupt.pass(LOOK_AGAIN)?;
    }
    Ok(relay)
}

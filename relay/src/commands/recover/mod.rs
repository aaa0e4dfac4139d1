//! `outbox-relay recover`: a slot that was lost begins anew at the present, and what only the table has is published once
//! more.
//!
//! Nothing falls between the slot and the table. The slot is made with a snapshot that shows exactly what committed before
//! its start, and the rows are read by that snapshot: what it shows is not in the slot's stream, what is in the stream it
//! does not show, and there is no third. A later snapshot would not do as well by itself: a transaction that waits for a
//! synchronous standby has its commit in the log before others see it, so that for a moment it is in neither. Where a run
//! goes on with a slot that an interrupted one made, that snapshot is gone, and the reading waits until every transaction
//! that was running has ended; then what committed before the slot's start is seen, and some of what is in the stream too.
//! That comes twice, with the same idempotency key.

mod anew;
mod confirm;
mod deliveries;
mod hold;
mod ids;
mod kafka;
mod lacking;
mod outboxes;
mod prospect;
mod reader;
mod report;
mod republish;
mod since;
mod situation;
mod story;
mod survey;
mod trail;

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use outbox_decoder::{Timestamp, TopicName};

use super::actor::Actor;
use super::interrupt::Interrupt;
use super::login::Login;
use super::moment::moment;
use super::slot::{Slot, WAIT_MS};
use super::{Failure, Refusal, block_on};
use crate::config::Settings;
use story::Recovery;

/// What is kept of each event, of rows and of records, takes 64 bytes together.
const EVENTS_MAX: usize = 5_000_000;

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Arguments {
    /// Only say what is known and what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do it; without this it is asked for
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Since when rows may be missing in Kafka, as '2026-11-22 03:00+00'; without it, from before what the last relay knew
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Column that says when a row was written; without it, `created_at` of the outbox
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// Keep the slot, which is there and whole, and only publish what Kafka lacks
    #[arg(long, requires = "since")]
    keep_slot: bool,
    /// Go on where topics do not reach back so far, or are compacted: what they held may be published once more
    #[arg(long)]
    accept_duplicates: bool,
    /// Leave this event out; repeatable
    #[arg(long, value_name = "ID")]
    leave_out: Vec<String>,
    /// One more topic to read back, beside those of the rows; repeatable
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<TopicName>,
    /// Make the new slot one that standbys keep (PostgreSQL 17 and later); one that was kept is so again
    #[arg(long)]
    failover: bool,
    /// How long transactions that are running now are waited for
    #[arg(long, value_name = "MS", default_value_t = WAIT_MS)]
    wait_ms: u64,
    /// How many events at most, in the tables and in Kafka; 64 bytes of memory each
    #[arg(long, value_name = "NUMBER", default_value_t = EVENTS_MAX)]
    events_max: usize,
    /// Role to read the outbox tables as, which the relay's own cannot; without it, postgres.user
    #[arg(long, value_name = "ROLE")]
    user: Option<String>,
    /// File with the password of --user
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Report as one JSON document
    #[arg(long)]
    json: bool,
    /// Write every event that Kafka holds and the tables lack there, as JSON lines
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    actor: Actor,
}

pub(super) fn recover(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    block_on(async {
        let control = Login::Configured.connect(&settings.postgres, "recover").await?;
        let slot = Slot {
            settings,
            control,
            reason: arguments.reason.as_deref(),
            actor: arguments.actor.as_json(None),
        };
        let recovery = Recovery::of(slot, arguments);
        let told = tokio::select! {
            biased;
            interrupted = interruption() => Err(interrupted),
            told = recovery.tell() => told,
        };
        recovery.note_end(told).await
    })
}

/// Ends when somebody wants the command to end.
async fn interruption() -> Failure {
    match Interrupt::watch() {
        Ok(mut interrupt) => interrupt.came().await,
        Err(failure) => return failure,
    }
    Failure::new(
        Refusal::RecoveryInterrupted,
        "interrupted",
        "run it again: it finds what is in Kafka by now, and goes on",
    )
}

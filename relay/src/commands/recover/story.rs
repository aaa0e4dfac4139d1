//! How a recovery goes: what is known, what would be done, and, once somebody has said yes, doing it.

use std::cell::Cell;
use std::fs::File;
use std::time::Duration;

use tokio::time::timeout;

use super::super::Failure;
use super::super::slot::Slot;
use super::Arguments;
use super::anew::{Ground, Making};
use super::confirm::confirm;
use super::ids::Ids;
use super::kafka::Held;
use super::lacking;
use super::prospect::{Lookout, Prospect, must_be_free};
use super::report::{Done, Report};
use super::republish::{Republished, Republishing, Without};
use super::survey::Compared;
use super::trail;
use crate::postgres::SlotState;

const NOTE_WITHIN: Duration = Duration::from_secs(5);

/// One run of the command.
pub(super) struct Recovery<'s> {
    slot: Slot<'s>,
    arguments: &'s Arguments,
    /// Whether something was changed.
    has_begun: Cell<bool>,
    /// Records that Kafka has acknowledged.
    acknowledged: Cell<u64>,
}

impl<'s> Recovery<'s> {
    pub(super) const fn of(slot: Slot<'s>, arguments: &'s Arguments) -> Self {
        Self {
            slot,
            arguments,
            has_begun: Cell::new(false),
            acknowledged: Cell::new(0),
        }
    }

    /// The whole of it.
    pub(super) async fn tell(&self) -> Result<(), Failure> {
        let file = self.arguments.report.as_ref().map(File::create).transpose();
        let file = file.map_err(|error| lacking::unwritten(&error))?;
        let prospect = Lookout {
            slot: &self.slot,
            arguments: self.arguments,
        }
        .prospect()
        .await?;
        let report = Report::of(&prospect.situation, self.slot.name(), prospect.since);
        let said = report.prospect(&prospect.tables, &prospect.held.topics);
        if self.arguments.dry_run {
            let Prospect { rows, situation, .. } = prospect;
            let lacking = lacking::look(
                &prospect.topics,
                &prospect.held,
                rows,
                situation.never_here_from(),
                file,
            )
            .await?;
            self.say(&said);
            self.conclude(&report, &prospect.tables, &prospect.held, &Done::dry(lacking));
            return Ok(());
        }
        let intention = prospect.intention(self.slot.name());
        self.say(&said);
        if prospect.is_taken_on_trust() {
            self.say("note:           nothing in Kafka says that rows from before then are not missing too\n");
        }
        self.say(&format!("to be done:     {intention}\n"));
        confirm(self.arguments.yes).await?;
        trail::begin(
            &self.slot,
            prospect.since,
            prospect.by.as_deref(),
            &format!("begun: {intention}"),
            self.why(),
        )
        .await?;
        self.has_begun.set(true);
        self.carry_out(prospect, report, file).await
    }

    /// An end that is none: noted, so that the next run goes on.
    pub(super) async fn note_end(&self, told: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = told else { return Ok(()) };
        if self.has_begun.get() {
            let result = format!(
                "{}: {} published once more by then",
                failure.name(),
                self.acknowledged.get()
            );
            // A server that is away shall not keep the command from its end.
            match timeout(NOTE_WITHIN, trail::end(&self.slot, false, &result, self.why())).await {
                Ok(Err(unnoted)) => drop(unnoted.report()),
                Err(_) => eprintln!("the audit trail could not be written to in time"),
                Ok(Ok(_)) => {}
            }
        }
        Err(failure)
    }

    async fn carry_out(&self, mut prospect: Prospect, report: Report, file: Option<File>) -> Result<(), Failure> {
        let making = Making {
            way: prospect.way,
            failover: self.arguments.failover || prospect.situation.is_kept,
            wait_ms: self.arguments.wait_ms,
        };
        let ground = Ground::prepare(&self.slot, &prospect.reader, making).await?;
        prospect.topics.catch_up(&mut prospect.held).await?;
        let (republished, rows) = self.republish(&prospect).await?;
        let never_here_from = prospect.situation.never_here_from();
        let lacking = lacking::look(&prospect.topics, &prospect.held, rows, never_here_from, file).await?;
        let state = self.slot.look().await?;
        if let SlotState::Missing | SlotState::Lost { .. } = state {
            return Err(must_be_free(&state, self.slot.name()));
        }
        let mut done = Done {
            starts_at: ground.starts_at,
            was_held: ground.is_held(),
            republished,
            lacking,
            noted: None,
        };
        done.noted = Some(trail::end(&self.slot, true, &done.in_one_line(), self.why()).await?);
        self.conclude(&report, &prospect.tables, &prospect.held, &done);
        Ok(())
    }

    /// With the keys of all rows that were looked at.
    async fn republish(&self, prospect: &Prospect) -> Result<(Vec<Republished>, Ids), Failure> {
        let without = Without {
            held: &prospect.held.ids,
            left_out: &prospect.left_out,
        };
        let republishing = Republishing::start(&self.slot, &prospect.reader, without, &self.acknowledged);
        let mut republishing = republishing?;
        let mut republished = Vec::new();
        for outbox in &prospect.outboxes {
            republished.push(republishing.table(outbox, prospect.since).await?);
        }
        Ok((republished, republishing.finish().await?))
    }

    fn conclude(&self, report: &Report, tables: &[Compared], held: &Held, done: &Done) {
        if self.arguments.json {
            println!("{}", report.as_json(tables, &held.topics, done));
        } else {
            print!("{}", report.outcome(&held.topics, done));
        }
    }

    /// For people; where a program reads the report, beside it.
    fn say(&self, text: &str) {
        if self.arguments.json {
            eprint!("{text}");
        } else {
            print!("{text}");
        }
    }

    fn why(&self) -> &str {
        self.arguments.reason.as_deref().unwrap_or_default()
    }
}

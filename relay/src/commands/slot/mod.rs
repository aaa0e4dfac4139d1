//! `outbox-relay slot`: the relay itself never makes a slot, because one that appears by itself hides a loss.
//!
//! Slots belong to the whole server: one of another database or plugin may have the configured name, and is left alone.

mod create;
mod drop;
mod forget;
mod show;

use clap::{Args, Subcommand};

pub(super) use create::WAIT_MS;

use super::actor::Actor;
use super::audit::note::{Deed, note};
use super::login::Login;
use super::operation::refuse_newer;
use super::{Failure, Refusal, block_on};
use crate::config::Settings;
use crate::postgres::{Control, PostgresError, SlotState, fault};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Why; goes to the audit trail
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    actor: Actor,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Make the slot: events committed from now on will be published
    Create {
        /// How long transactions that are running now are waited for
        #[arg(long, value_name = "MS", default_value_t = WAIT_MS)]
        wait_ms: u64,
        /// Keep it on standbys too, for a failover; a slot that is there becomes one that is kept (PostgreSQL 17 and later)
        #[arg(long)]
        failover: bool,
    },
    /// Show the slot, who uses it, and what the last relay on it knew
    Show,
    /// Drop the slot: what was not published is then only in the outbox table
    Drop {
        /// Also if it may hold events that are not published; without this only if the server shows that it holds none
        #[arg(long)]
        yes: bool,
    },
    /// Forget what the last relay knew, to accept a restored or replaced server
    Forget,
}

pub(super) fn slot(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    block_on(async {
        let control = Login::Configured.connect(&settings.postgres, "slot").await?;
        let slot = Slot {
            settings,
            control,
            reason: arguments.reason.as_deref(),
            actor: arguments.actor.as_json(None),
        };
        slot.refuse_newer().await?;
        match arguments.command {
            Command::Create { wait_ms, failover } => slot.create(wait_ms, failover).await,
            Command::Show => slot.show().await,
            Command::Drop { yes } => slot.drop_slot(yes).await,
            Command::Forget => slot.forget().await,
        }
    })
}

/// The configured slot, and a connection to ask about it.
pub(super) struct Slot<'s> {
    pub(super) settings: &'s Settings,
    pub(super) control: Control,
    /// Why, for the audit trail.
    pub(super) reason: Option<&'s str>,
    /// Who, as the audit trail takes it.
    pub(super) actor: String,
}

impl Slot<'_> {
    pub(super) fn name(&self) -> &str {
        &self.settings.postgres.slot
    }

    /// What a newer program has migrated is not known here. A database that was not migrated has other refusals.
    async fn refuse_newer(&self) -> Result<(), Failure> {
        const UNDEFINED: [&str; 2] = ["3F000", "42P01"];
        let newest = "SELECT coalesce(max(version), 0) FROM outbox_relay.migrations";
        let row = self.control.client().query_one(newest, &[]).await;
        match row.and_then(|row| row.try_get(0)).map_err(PostgresError::from) {
            Ok(found) => refuse_newer(found, &self.settings.postgres.database),
            Err(error) if error.sqlstate().is_some_and(|sqlstate| UNDEFINED.contains(&sqlstate)) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Notes in the audit trail what was done with it.
    async fn note(&self, action: &'static str, result: impl Into<String>) {
        let deed = Deed {
            action,
            resource: format!("slot {}", self.name()),
            why: self.reason,
            result: result.into(),
        };
        note(self.control.client(), &deed, &self.actor).await;
    }

    pub(super) fn failed(&self, error: &PostgresError) -> Failure {
        fault(error, &self.settings.postgres).into()
    }

    /// Looks whether it is there, by the same check as `run`, and leaves somebody else's alone.
    pub(super) async fn look(&self) -> Result<SlotState, Failure> {
        let database = &self.settings.postgres.database;
        let state = SlotState::look(self.control.client(), self.name(), database).await;
        let state = state.map_err(|error| self.failed(&error))?;
        if let SlotState::Foreign { .. } = state {
            state.must_be_free(self.name())?;
        }
        Ok(state)
    }
}

//! `outbox-relay slot`: the relay itself never makes a slot, because one that appears by itself hides a loss.
//!
//! Slots belong to the whole server: one of another database or plugin may have the configured name, and is left alone.

mod create;
mod drop;
mod forget;
mod show;

use clap::Subcommand;

use super::login::Login;
use super::{Failure, block_on};
use crate::config::Settings;
use crate::fault::Fault;
use crate::postgres::{Control, PostgresError, check_slot, fault};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Make the slot: events committed from now on will be published
    Create,
    /// Show the slot, who uses it, and what the last relay on it knew
    Show,
    /// Drop the slot: what was not published is then only in the outbox table
    Drop {
        /// Do it; without this the command only says what would happen
        #[arg(long)]
        yes: bool,
    },
    /// Forget what the last relay knew, to accept a restored or replaced server
    Forget,
}

pub(super) fn slot(settings: &Settings, command: Command) -> Result<(), Failure> {
    block_on(async {
        let control = Login::Configured.connect(&settings.postgres, "slot").await?;
        let slot = Slot { settings, control };
        match command {
            Command::Create => slot.create().await,
            Command::Show => slot.show().await,
            Command::Drop { yes } => slot.drop_slot(yes).await,
            Command::Forget => slot.forget().await,
        }
    })
}

/// The configured slot, and a connection to ask about it.
struct Slot<'s> {
    settings: &'s Settings,
    control: Control,
}

/// How the configured slot is, when nobody else's has its name.
enum Found {
    Missing(Fault),
    Free,
    /// Somebody streams from it; the message says who.
    InUse(String),
    /// The server has removed what it needed.
    Lost(Fault),
}

impl Slot<'_> {
    fn name(&self) -> &str {
        &self.settings.postgres.slot
    }

    fn failed(&self, error: &PostgresError) -> Failure {
        fault(error, &self.settings.postgres).into()
    }

    /// Looks whether it is there, by the same check as `run`.
    async fn look(&self) -> Result<Found, Failure> {
        let database = &self.settings.postgres.database;
        let checked = check_slot(self.control.client(), self.name(), database).await;
        match checked.map_err(|error| self.failed(&error))? {
            Ok(()) => Ok(Found::Free),
            Err(fault) => match fault.code {
                "slot_missing" => Ok(Found::Missing(fault)),
                "slot_active" => Ok(Found::InUse(fault.message)),
                "slot_lost" => Ok(Found::Lost(fault)),
                // Somebody else's.
                _ => Err(fault.into()),
            },
        }
    }
}

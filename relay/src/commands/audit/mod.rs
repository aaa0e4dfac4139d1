//! `outbox-relay audit`: the trail of who did what. It is kept in the database and proven outside of it.

mod chain;
mod entry;
mod expire;
mod export;
mod head;
pub(super) mod note;
mod verify;

use clap::{Args, Subcommand};

use super::login::LoginFlags;
use super::operation::{Operation, Work};
use super::{Failure, Refusal};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    login: LoginFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove that no row was changed or removed, or say where the chain breaks
    ///
    /// Computes the chain anew, outside of the database. That its end was cut
    /// off shows only against a head that was kept elsewhere: each command
    /// prints one, and the relay's log holds them.
    Verify(verify::Arguments),
    /// Print rows as JSON, one object a line
    Export(export::Arguments),
    /// Empty rows whose retention is over; the chain stays whole
    Expire(expire::Arguments),
}

pub(super) async fn audit(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { command, login } = arguments;
    match command {
        Command::Verify(arguments) => {
            let operation = Operation::begin(settings, login, Work::Auditor).await?;
            verify::verify(&operation, arguments).await
        }
        Command::Export(arguments) => {
            let operation = Operation::begin(settings, login, Work::Auditor).await?;
            export::export(&operation, arguments).await
        }
        Command::Expire(arguments) => {
            let operation = Operation::begin(settings, login, Work::Janitor).await?;
            expire::expire(&operation, arguments).await
        }
    }
}

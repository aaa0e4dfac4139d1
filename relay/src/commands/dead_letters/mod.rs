//! `outbox-relay dead-letters`: what was set aside, and what is to become of it. Commands decide and mark; the relay
//! publishes what is marked, in its own order.

mod behind;
mod confirm;
mod decision;
mod discard;
mod filter;
mod letter;
mod list;
mod marking;
mod plan;
mod progress;
mod publish_marked;
mod redrive;
mod selection;
mod settling;
mod show;
mod unmatched;

pub(super) use letter::next_of;

use clap::{Args, Subcommand};

use super::operation::{Operation, Who, Work};
use super::{Failure, Refusal, block_on};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List dead letters, the unresolved ones unless states are named
    List(list::Arguments),
    /// Show everything that is known of one
    Show(show::Arguments),
    /// Publish again what failed, with what waits behind it
    ///
    /// Marks the letters; the relay publishes them, with their ids and in
    /// the order of their keys. Takes failed ones, unless letters or states
    /// are named.
    Redrive(redrive::Arguments),
    /// Never publish what failed; what waits behind it is published
    ///
    /// The letters stay in the table. Takes failed ones, unless letters or
    /// states are named.
    Discard(discard::Arguments),
}

impl Arguments {
    /// Whether it needs to reach Kafka.
    pub(super) const fn publishes(&self) -> bool {
        matches!(&self.command, Command::Redrive(arguments) if arguments.execute)
    }
}

pub(super) fn dead_letters(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { command, who } = arguments;
    match command {
        Command::List(arguments) => block_on(async {
            let operation = Operation::begin(settings, &who.login, Work::Reader).await?;
            list::list(&operation, arguments).await
        }),
        Command::Show(arguments) => block_on(async {
            let operation = Operation::begin(settings, &who.login, Work::Reader).await?;
            show::show(&operation, arguments).await
        }),
        Command::Redrive(arguments) => redrive::redrive(settings, who, arguments),
        Command::Discard(arguments) => block_on(discard::discard(settings, who, arguments)),
    }
}

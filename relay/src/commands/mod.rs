//! The command line: one module a command.

mod actor;
mod archive;
mod audit;
mod config;
mod dead_letters;
mod event_id;
mod exit;
mod explain;
mod healthcheck;
mod interrupt;
mod login;
mod migrate;
mod moment;
mod operation;
mod output;
mod pause;
mod purge;
mod reason;
mod recover;
mod refusal;
mod run;
mod skip;
mod slot;
mod table;
mod wal_budget;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use exit::EXIT_CODES;
pub use exit::{Failure, leave};
pub use refusal::Refusal;

use crate::config::{Sources, listen, load, load_without_kafka};
use crate::line::Purpose;

/// Wide enough for every line below, and as wide as a terminal surely is.
const WIDTH: usize = 80;

const EXAMPLES: &str = "\
Examples, in the order of a first day:
  export OUTBOX_RELAY_CONFIG=relay.toml

  # table, publication and roles; as the owner of the database
  outbox-relay migrate --user postgres --password-file FILE --set-password

  # from now on, commits are kept for the relay
  outbox-relay slot create

  # publish them, until a signal says stop
  outbox-relay run

  # what was set aside, why, and once more when it is mended
  outbox-relay dead-letters list
  outbox-relay dead-letters redrive --topic orders --reason 'limit raised'

  # what is in force, and who said so; is it right; what there is
  outbox-relay config
  outbox-relay config check
  outbox-relay config reference

  # without a file: every key has a variable
  OUTBOX_RELAY_POSTGRES__HOST=db.internal \\
  OUTBOX_RELAY_POSTGRES__DATABASE=shop \\
  OUTBOX_RELAY_POSTGRES__PASSWORD_FILE=/run/secrets/relay-password \\
  OUTBOX_RELAY_KAFKA__BOOTSTRAP_SERVERS=kafka:9093 outbox-relay run";

/// Moves outbox rows from PostgreSQL into Kafka without losing one.
#[derive(Debug, Parser)]
#[command(name = "outbox-relay", version, before_help = EXAMPLES, after_help = EXIT_CODES, max_term_width = WIDTH)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    sources: SourceFlags,
}

#[derive(Debug, Args)]
struct SourceFlags {
    /// Configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file; OUTBOX_RELAY_CONFIG names one too"
    )]
    config: Option<PathBuf>,
    /// Sets one key, over file and environment; repeatable; refused for secrets
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish what is committed, until a signal says stop
    Run,
    /// Make roles, outbox tables and publication; run again at any time
    Migrate(migrate::Arguments),
    /// Make, show or drop the replication slot, or forget its last relay
    Slot(slot::Arguments),
    /// Make a lost slot anew, and publish what only the tables have
    Recover(Box<recover::Arguments>),
    /// List, show, redrive or discard what was set aside
    DeadLetters(Box<dead_letters::Arguments>),
    /// Publish nothing more, or nothing more of one outbox, until resumed
    ///
    /// Written down in the database: a restart of the relay changes nothing.
    Pause(pause::PauseArguments),
    /// Go on with what was paused
    Resume(pause::ResumeArguments),
    /// Set one event aside when the relay comes to it, or take that back
    Skip(skip::Arguments),
    /// Remove outbox rows that are published and old enough, once
    Purge(purge::Arguments),
    /// Verify archived rows, or publish them once more
    #[command(subcommand)]
    Archive(archive::Command),
    /// Prove, export or expire the trail of who did what
    Audit(audit::Arguments),
    /// Ask a running relay whether it is live; for containers without curl
    Healthcheck,
    /// Say what a code of the log, `/readyz` or a message means and what to do; without one, all of them
    Explain {
        /// Such as `slot_lost`
        code: Option<String>,
    },
    /// Show, check or explain the configuration
    #[command(args_conflicts_with_subcommands = true)]
    Config(config::Arguments),
}

/// Does what the command line says.
///
/// # Errors
/// Why it could not, with the exit code that belongs to it.
pub fn execute(command_line: CommandLine) -> Result<(), Failure> {
    let SourceFlags { config, set } = command_line.sources;
    let sources = Sources::of_process(config, set);
    let refused = |errors| Failure::configuration(&errors);
    let of_database = || load_without_kafka(&sources).map_err(refused);
    match command_line.command {
        Command::Run => run::run(load(&sources).map_err(refused)?.settings, Purpose::Relay),
        Command::Migrate(arguments) => migrate::migrate(&of_database()?, &arguments),
        Command::Slot(arguments) => slot::slot(&of_database()?, &arguments),
        Command::Recover(arguments) => recover::recover(&load(&sources).map_err(refused)?.settings, &arguments),
        Command::DeadLetters(arguments) if arguments.publishes() => {
            dead_letters::dead_letters(&load(&sources).map_err(refused)?.settings, &arguments)
        }
        Command::DeadLetters(arguments) => dead_letters::dead_letters(&of_database()?, &arguments),
        Command::Pause(arguments) => block_on(pause::pause(&of_database()?, &arguments)),
        Command::Resume(arguments) => block_on(pause::resume(&of_database()?, &arguments)),
        Command::Skip(arguments) => block_on(skip::skip(&of_database()?, &arguments)),
        Command::Audit(arguments) => block_on(audit::audit(&of_database()?, &arguments)),
        Command::Purge(arguments) => purge::purge(of_database()?, &arguments),
        Command::Archive(command) => archive::archive(&command, || load(&sources).map_err(refused)),
        Command::Healthcheck => healthcheck::healthcheck(listen(&sources).map_err(refused)?),
        Command::Explain { code } => {
            print!("{}", explain::explain(code.as_deref())?);
            Ok(())
        }
        Command::Config(arguments) => config::config(&sources, arguments),
    }
}

/// A runtime for commands that ask the server something and end.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(Refusal::SystemRefused, format!("no runtime: {error}"), "try again"))?;
    let done = runtime.block_on(work);
    // A name that is being looked up cannot be stopped, and nobody waits for the answer.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_help_fits_a_narrow_terminal() {
        let mut whole = CommandLine::command();
        whole.build();
        let mut waiting = vec![whole];
        while let Some(mut command) = waiting.pop() {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= WIDTH, "{}: {line}", command.get_name());
            }
            // A line of ours that is broken by the width would be a line more than we wrote.
            for ours in [EXAMPLES, EXIT_CODES]
                .into_iter()
                .filter(|_| command.get_name() == "outbox-relay")
            {
                assert!(help.contains(ours), "{help}");
            }
            waiting.extend(command.get_subcommands().cloned());
        }
    }
}

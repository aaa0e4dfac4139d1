//! `set-aside`: what it costs to go on where an event can never be accepted, and to publish it later.
//!
//! 1. A backlog with one row in a thousand that the relay itself refuses, drained as if it were none, with those set aside,
//!    and with the state of each delivery kept; from equal slots and in turn.
//! 2. A smaller one whose rows of that kind only the broker refuses: each costs attempts, one record at a time.
//! 3. Rows that are all too large for the relay's producer, set aside, and then redriven by the command while a relay runs.

mod drains;
mod redrive;
mod report;
mod rows;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::results::{Circumstances, Folder};
use crate::subject::Subject;
use drains::Bench;
use report::Report;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Rows of the backlog that can be published, 100 a transaction, about 600 bytes each; for every thousand there is one more
    /// that cannot
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    rows: u32,
    /// The same of the backlog whose defects only the broker sees
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    broker_rows: u32,
    /// Dead letters that are redriven
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    letters: u32,
    /// How often each backlog is drained in each way
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    repetitions: u32,
    /// How often the relay drains the backlog before anything counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=50))]
    warm_ups: u32,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

/// Measures, prints a table, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let program = options.subject.program()?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.subject, interrupt)?;
    // The table of states is the relay's to write where one outbox keeps them.
    installation.administrate(&["migrate", "--set", drains::KEEPS_STATES], interrupt)?;
    let bench = Bench::new(&installation, interrupt)?;
    let relay_judged = bench.relay_judged(options.rows, options.warm_ups, options.repetitions)?;
    let broker_judged = bench.broker_judged(options.broker_rows, options.repetitions)?;
    let redriven = redrive::measure(&installation, options.letters, interrupt)?;
    let circumstances = Circumstances::now(&options.subject, options, load_before);
    let report = Report::new(circumstances, relay_judged, broker_judged, redriven);
    drop(installation);
    println!("{}", report.table());
    println!("kept in {}", report.keep(options.folder.path())?.display());
    println!();
    print!("{}", report.numbers());
    Ok(())
}

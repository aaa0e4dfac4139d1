//! `profile`: where the CPU time of the relay goes while it works, by perf: a flame graph, and tables by thread and function.
//!
//! perf follows frame pointers, so the relay, librdkafka and the allocator have to be built with them: `make profile` does.

mod perf;
mod shares;

use std::fs;
use std::path::Path;

use clap::Args;
use inferno::flamegraph;
use serde::Serialize;

use crate::backlog::{self, Keys, ROWS_PER_TRANSACTION};
use crate::drain::{self, Backlog, Client};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::results::{Circumstances, Folder, Told};
use crate::steady::{Load, measure};
use crate::subject::Subject;
use crate::{machine, progress, warm_up};
use perf::Recorded;
use shares::Shares;

const SLOT: &str = "profile";
const LIVE_ROW_BYTES: u32 = 600;
const LIVE_WARM_UP_S: u32 = 5;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Rows of the backlog that is drained meanwhile, 100 a transaction, about 600 bytes each on the wire
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    rows: u32,
    /// Instead of a backlog, single rows at this rate
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    rate: Option<u32>,
    /// For how long
    #[arg(long, requires = "rate", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Samples a second of each thread
    #[arg(long, default_value_t = 997, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    frequency: u32,
    /// Records that the broker has taken before
    #[arg(long, default_value_t = warm_up::RECORDS, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    broker_warm_up_records: u32,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

#[derive(Serialize)]
struct Report<'s> {
    #[serde(flatten)]
    circumstances: &'s Circumstances,
    #[serde(flatten)]
    shares: &'s Shares,
}

/// Records, draws, prints tables and keeps the results.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    perf::expect()?;
    let program = options.subject.program()?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.subject, interrupt)?;
    warm_up::drain(&installation, options.broker_warm_up_records, interrupt)?;
    let recorded = Recorded::new(&installation.relay, installation.folder(), options.frequency);
    match options.rate {
        Some(rate) => live(&installation, &recorded, rate, options.seconds, interrupt)?,
        None => drained(&installation, &recorded, options.rows, interrupt)?,
    }
    progress::step("reading what perf has recorded");
    let stacks = recorded.stacks(interrupt)?;
    drop(installation);
    let shares = Shares::of(&stacks)?;
    let circumstances = Circumstances::now(&options.subject, options, load_before);
    let report = Report {
        circumstances: &circumstances,
        shares: &shares,
    };
    let told = Told {
        tables: &shares.to_string(),
        numbers: "",
    };
    let kept = circumstances.keep("profile", options.folder.path(), &report, told)?;
    let graph = kept.with_extension("svg");
    draw(&stacks, &graph)?;
    println!("{shares}\nkept in {}, drawn in {}", kept.display(), graph.display());
    Ok(())
}

fn drained(
    installation: &Installation,
    recorded: &Recorded<'_>,
    rows: u32,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let database = &installation.database;
    database.create_slot(SLOT)?;
    backlog::fill(database, rows, ROWS_PER_TRANSACTION, Keys::Distinct)?;
    let backlog = Backlog::up_to_now(SLOT, rows, database)?;
    drain::drain(
        installation,
        &backlog,
        Client::Carrier(recorded, &installation.topic),
        interrupt,
    )?;
    database.drop_slot(SLOT)
}

fn live(
    installation: &Installation,
    recorded: &Recorded<'_>,
    rate: u32,
    seconds: u32,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let load = Load::of_single_rows(rate, LIVE_ROW_BYTES, LIVE_WARM_UP_S, seconds);
    measure(installation, &installation.topic, recorded, load, interrupt).map(drop)
}

fn draw(stacks: &str, file: &Path) -> Result<(), Failure> {
    let mut options = flamegraph::Options::default();
    options.title = String::from("CPU time of the relay, by thread");
    let mut image = Vec::new();
    flamegraph::from_lines(&mut options, stacks.lines(), &mut image).map_err(|error| Failure::Drawing {
        name: "a flame graph",
        reason: error.to_string(),
    })?;
    fs::write(file, image).map_err(Failure::file("write", file))
}

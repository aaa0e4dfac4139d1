//! `steady`: what latency at what offered rate, at what cost, and with `--search` the peak TPS.
//!
//! An open-loop writer commits rows at intended times; a consumer in this program notes when it has each record. What
//! the writer is late counts as latency from the intended time, and is said.

mod backlog_growth;
mod commit_to_ack;
#[cfg(test)]
mod example;
mod journal;
mod latency;
mod load;
mod measure;
mod peak;
mod reader;
mod report;
mod rest;
mod search;
mod snapshot;
mod tables;
mod verdict;
mod writer;

use std::path::Path;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use serde::Serialize;

use crate::backlog::Payload;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::results::{Circumstances, Folder};
use crate::subject::Subject;
use crate::warm_up::{self, RECORDS};
use crate::{machine, plot, progress};
#[cfg(test)]
pub(crate) use latency::Latency;
pub(crate) use load::Load;
pub(crate) use measure::{Steady, measure};
use report::Report;
use search::{RATE_MAX, RATE_MIN};

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Events a second that are offered; with --search the first rate to try
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(i64::from(RATE_MIN)..=i64::from(RATE_MAX)))]
    rate: u32,
    /// The window that counts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The load is on for so long before anything counts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=600))]
    warm_up_seconds: u32,
    /// A broker that has just started compiles its own code first: before everything else the relay drains so many records
    #[arg(long, default_value_t = RECORDS, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    broker_warm_up_records: u32,
    /// And after them it gets the load for so long: single rows come in requests of another kind
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=600))]
    broker_warm_up_seconds: u32,
    /// How often it is measured; medians are reported. With --search a rate is held when most repetitions are, and one that is not gets a second try
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    repetitions: u32,
    /// Rows of each transaction
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows_per_transaction: u32,
    /// Bytes of a row on the wire, about
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(Payload::ROW_BYTES_MIN..=1_000_000))]
    row_bytes: u32,
    /// Connections that write [default: as many as the rate needs when a commit takes 4 ms, 8 to 64]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    connections: Option<u32>,
    /// Whether a commit waits for the disk. With "off" a record waits instead for the WAL writer, 200 ms and more: nothing
    /// is sent before it is on disk
    #[arg(long, value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    synchronous_commit: bool,
    /// Finds the highest rate at which the 99th percentile, from intended time to consumer, stays under the bound
    #[arg(long)]
    search: bool,
    /// The bound of --search in milliseconds
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    p99_bound_ms: u32,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

impl Options {
    fn load(&self, rate: u32) -> Load {
        let connections = self
            .connections
            .unwrap_or_else(|| load::connections_for(rate, self.rows_per_transaction));
        Load {
            rate_events_per_s: rate,
            rows_per_transaction: self.rows_per_transaction,
            row_bytes: self.row_bytes,
            connections,
            synchronous_commit: self.synchronous_commit,
            warm_up_s: self.warm_up_seconds,
            window_s: self.seconds,
        }
    }
}

/// Measures, prints tables, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let program = options.subject.program()?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.subject, interrupt)?;
    warm_up::drain(&installation, options.broker_warm_up_records, interrupt)?;
    warm_up_with_load(&installation, options, interrupt)?;
    let measure_at = |rate| repeat(&installation, options, rate, interrupt);
    let circumstances = || Circumstances::now(&options.subject, options, load_before);
    let numbers = if options.search {
        let found = peak::search(options.rate, f64::from(options.p99_bound_ms), measure_at)?;
        let report = peak::Report::new(circumstances(), found);
        say(&report.table(), &report.keep(options.folder.path())?);
        report.numbers()
    } else {
        let report = Report::new(circumstances(), measure_at(options.rate)?);
        say(&report.table(), &report.keep(options.folder.path())?);
        report.numbers()
    };
    plot::from_results(options.folder.path());
    print!("\n{numbers}");
    Ok(())
}

/// Says tables and where the results are.
fn say(table: &str, kept: &Path) {
    println!("{table}\nkept in {}", kept.display());
}

fn warm_up_with_load(installation: &Installation, options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let load = Load {
        warm_up_s: 0,
        window_s: options.broker_warm_up_seconds,
        ..options.load(options.rate)
    };
    if load.window_s > 0 {
        progress::step("warming up the broker with the load");
        measure(installation, &installation.topic, &installation.relay, load, interrupt)?;
    }
    Ok(())
}

fn repeat(
    installation: &Installation,
    options: &Options,
    rate: u32,
    interrupt: &Interrupt,
) -> Result<Vec<Steady>, Failure> {
    (1..=options.repetitions)
        .map(|repetition| {
            progress::step(&format!("{rate} events/s: {repetition} of {}", options.repetitions));
            let (topic, relay) = (&installation.topic, &installation.relay);
            measure(installation, topic, relay, options.load(rate), interrupt)
        })
        .collect()
}

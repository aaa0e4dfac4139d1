//! `drain`: what a backlog of stated rows takes, next to the limits above and below the relay.
//!
//! For each case, from equal slots and in turn: `pg_recvlogical` to nowhere, a lazy reader that only counts, the producer
//! alone with the same records, and the relay. Ratios are made pair by pair.

mod case;
mod measure;
mod numbers;
mod plan;
mod report;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::backlog::PayloadType;
use crate::door::Door;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::results::{Circumstances, Folder};
use crate::subject::Subject;
use crate::{machine, plot};
use case::Brokers;
use measure::{Measured, measure};
use plan::{Dimensions, Plan, Planned, matrix};
use report::Report;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Rows of each backlog; more for a larger transaction, fewer where they would have more than 1 GiB
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    rows: u32,
    /// Bytes of a row on the wire, about, one or several: 100,600. The smallest row there is has 160
    #[arg(long, value_delimiter = ',', default_value = "600", value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    row_bytes: Vec<u32>,
    /// Rows of each transaction, one or several
    #[arg(long, value_delimiter = ',', default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rows_per_transaction: Vec<u32>,
    /// Types of the payload column, one or several
    #[arg(long, value_delimiter = ',', default_value = "json")]
    payload: Vec<PayloadType>,
    /// Brokers; with three, topics have three replicas, of which two must be in sync
    #[arg(long, value_delimiter = ',', default_value = "1")]
    brokers: Vec<Brokers>,
    /// How the servers are reached, one or several ways
    #[arg(long, value_delimiter = ',', default_value = "tcp")]
    door: Vec<Door>,
    /// All values that matter, one dimension at a time around the usual case
    #[arg(long, conflicts_with_all = ["row_bytes", "rows_per_transaction", "payload", "brokers", "door"])]
    matrix: bool,
    /// How often each backlog is drained by each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    repetitions: u32,
    /// How often the relay drains a backlog before anything counts: for brokers that have just started. Later cases have
    /// one warm-up, which also yields the records for the producer alone
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    warm_ups: u32,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

impl Options {
    fn plan(&self) -> Plan {
        let dimensions = Dimensions {
            brokers: self.brokers.clone(),
            row_bytes: self.row_bytes.clone(),
            rows_per_transaction: self.rows_per_transaction.clone(),
            payload: self.payload.clone(),
            door: self.door.clone(),
        };
        let cases = if self.matrix { matrix() } else { dimensions.product() };
        Plan::of(cases, self.rows)
    }
}

/// Measures, prints a table for each case, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let Plan { cases, left_out } = options.plan();
    if cases.is_empty() {
        let why: Vec<String> = left_out
            .iter()
            .map(|one| format!("{}: {}", one.case, one.why))
            .collect();
        return Err(Failure::NothingToMeasure(why.join("; ")));
    }
    let program = options.subject.program()?;
    let load_before = machine::load();
    let mut measured = Vec::new();
    for same_servers in cases.chunk_by(|one, next| one.case.brokers == next.case.brokers) {
        measured.extend(measure_all(program.clone(), same_servers, options, interrupt)?);
    }
    let circumstances = Circumstances::now(&options.subject, options, load_before);
    let report = Report::new(circumstances, options.rows, measured, left_out);
    println!("{}", report.tables());
    println!("kept in {}", report.keep(options.folder.path())?.display());
    plot::from_results(options.folder.path());
    println!();
    print!("{}", report.numbers());
    Ok(())
}

/// Cases with one set of servers.
fn measure_all(
    program: PathBuf,
    cases: &[Planned],
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Vec<Measured>, Failure> {
    let Some(first) = cases.first() else {
        return Ok(Vec::new());
    };
    let brokers = first.case.brokers.number();
    let installation = Installation::with_brokers(brokers, program, &options.subject, interrupt)?;
    // A broker that has just started compiles its own code first.
    let warm_ups = [options.warm_ups].into_iter().chain(std::iter::repeat(1));
    let measured = cases.iter().zip(warm_ups);
    measured
        .map(|(&planned, warm_ups)| measure(&installation, planned, (warm_ups, options.repetitions), interrupt))
        .collect()
}

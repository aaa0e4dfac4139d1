//! `smoke`: the numbers that every change is looked at with.
//!
//! 1. A backlog, drained in turn by `pg_recvlogical` and by the relay, each time from an equal slot.
//! 2. One large transaction, drained by the relay.
//! 3. A single row that waits, and how long the relay takes from its start to the record.

mod kept;
mod report;
mod start;

use std::path::PathBuf;

use clap::Args;

use crate::backlog::{self, Keys, Payload};
use crate::carrier::OverTls;
use crate::drain::{self, Backlog, Client, Drain};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::{self, SLOT};
use crate::results::{self, Circumstances};
use crate::{machine, plot, progress};
use report::{Backlogged, Pair, Report};

pub(crate) use kept::Kept;

const LARGE_SLOT: &str = "large";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rows of the backlog, 100 a transaction, about 600 bytes each on the wire
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    rows: u32,
    /// How often the backlog is drained by each of the two
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    repetitions: u32,
    /// How often the relay drains the backlog before anything counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=50))]
    warm_ups: u32,
    /// Drains over TLS too, to PostgreSQL and to Kafka, in turn with the others
    #[arg(long)]
    tls: bool,
    /// Rows of the large transaction
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    large_rows: u32,
    /// How often the relay is started on a single row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
    /// The relay to measure, instead of this workspace's release build
    #[arg(long, value_name = "FILE")]
    relay: Option<PathBuf>,
    /// Sets a key of the relay's configuration, for experiments; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Measures, prints a table, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let program = relay::program(options.relay.as_deref())?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.set, interrupt)?;
    let backlog = drain_in_turn(&installation, options, interrupt)?;
    let large = drain_large(&installation, options, interrupt)?;
    let starts_ms = start::measure(&installation, options.starts, interrupt)?;
    let report = Report::new(Circumstances::now(&options.set, load_before), backlog, large, starts_ms);
    drop(installation);
    println!("{}", report.table());
    println!("kept in {}", report.keep()?.display());
    plot::from_results(results::folder());
    println!();
    print!("{}", report.numbers());
    Ok(())
}

fn drain_in_turn(installation: &Installation, options: &Options, interrupt: &Interrupt) -> Result<Backlogged, Failure> {
    let database = &installation.database;
    installation.relay.command(&["slot", "create"], interrupt)?;
    let wal_bytes = backlog::fill(database, options.rows, Keys::Distinct)?;
    let backlog = Backlog::up_to_now(SLOT, options.rows, database)?;
    let over_tls = OverTls {
        relay: &installation.relay,
        settings: &installation.tls_settings,
    };
    let relay = Client::Carrier(&installation.relay, &installation.topic);
    let over_tls = Client::Carrier(&over_tls, &installation.topic);
    // A broker that has just started spends more on compiling its own code than on records; it takes it a million
    // records and more to be done with that.
    for warm_up in 1..=options.warm_ups {
        progress::step(&format!("warm-up {warm_up} of {}", options.warm_ups));
        drain::drain(installation, &backlog, relay, interrupt)?;
        if options.tls {
            drain::drain(installation, &backlog, over_tls, interrupt)?;
        }
    }
    let mut pairs = Vec::new();
    for repetition in 1..=options.repetitions {
        let drained_by = |client| {
            progress::step(&format!("{repetition} of {}: {client} drains", options.repetitions));
            drain::drain(installation, &backlog, client, interrupt)
        };
        let (recvlogical, relay) = (drained_by(Client::Recvlogical)?, drained_by(relay)?);
        let relay_over_tls = options.tls.then(|| drained_by(over_tls)).transpose()?;
        pairs.push(Pair {
            recvlogical,
            relay,
            relay_over_tls,
        });
    }
    // From now on the server need not keep the WAL of the backlog.
    database.drop_slot(SLOT)?;
    Ok(Backlogged {
        pairs,
        wal_bytes_per_event: wal_bytes / f64::from(options.rows),
    })
}

fn drain_large(installation: &Installation, options: &Options, interrupt: &Interrupt) -> Result<Drain, Failure> {
    let database = &installation.database;
    database.create_slot(LARGE_SLOT)?;
    progress::step(&format!("a transaction of {} rows", options.large_rows));
    backlog::fill_at_once(database, options.large_rows, Payload::Small)?;
    let backlog = Backlog::up_to_now(LARGE_SLOT, options.large_rows, database)?;
    let relay = Client::Carrier(&installation.relay, &installation.topic);
    let drained = drain::drain(installation, &backlog, relay, interrupt)?;
    database.drop_slot(LARGE_SLOT)?;
    Ok(drained)
}

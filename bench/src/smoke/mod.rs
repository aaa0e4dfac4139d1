//! `smoke`: the numbers that every change is looked at with.
//!
//! 1. A backlog, drained in turn by `pg_recvlogical` and by the relay, each time from an equal slot; who begins changes.
//! 2. The same with rows that were committed one by one.
//! 3. One large transaction, drained by the relay.
//! 4. A single row that waits, and how long the relay takes from its start to the record.

mod kept;
mod report;
mod start;

use clap::Args;
use serde::Serialize;

use crate::backlog::{self, Keys, Payload, ROWS_PER_TRANSACTION};
use crate::carrier::Configured;
use crate::door::Door;
use crate::drain::{self, Backlog, Client, Drain};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::SLOT;
use crate::results::{Circumstances, Folder};
use crate::subject::Subject;
use crate::{machine, plot, progress, turns};
use report::{Backlogged, Pair, Report};

pub(crate) use kept::Kept;

/// A row of the large transaction on the wire.
const LARGE_ROW_BYTES: u32 = 1024;
const LARGE_SLOT: &str = "large";
const SINGLE_SLOT: &str = "single";

#[derive(Debug, Args, Serialize)]
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
    /// Rows of a second backlog, one a transaction; 0 leaves it out
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    single_rows: u32,
    /// Rows of the large transaction, 1 KiB each on the wire
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    large_rows: u32,
    /// How often the relay is started on a single row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

impl Options {
    fn plan(&self) -> Plan {
        Plan {
            slot: SLOT,
            rows: self.rows,
            rows_per_transaction: ROWS_PER_TRANSACTION,
            warm_ups: self.warm_ups,
            repetitions: self.repetitions,
            is_over_tls_too: self.tls,
        }
    }
}

/// Measures, prints a table, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let program = options.subject.program()?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.subject, interrupt)?;
    installation.relay.command(&["slot", "create"], interrupt)?;
    let backlog = drain_in_turn(&installation, options.plan(), interrupt)?;
    let singles = drain_singles(&installation, options, interrupt)?;
    let large = drain_large(&installation, options, interrupt)?;
    let starts_ms = start::measure(&installation, options.starts, interrupt)?;
    let report = Report::new(
        Circumstances::now(&options.subject, options, load_before),
        backlog,
        singles,
        large,
        starts_ms,
    );
    drop(installation);
    println!("{}", report.table());
    println!("kept in {}", report.keep(options.folder.path())?.display());
    plot::from_results(options.folder.path());
    println!();
    print!("{}", report.numbers());
    Ok(())
}

/// How a backlog was committed, and how it is drained.
#[derive(Debug, Clone, Copy)]
struct Plan {
    slot: &'static str,
    rows: u32,
    rows_per_transaction: u32,
    warm_ups: u32,
    repetitions: u32,
    is_over_tls_too: bool,
}

fn drain_in_turn(installation: &Installation, plan: Plan, interrupt: &Interrupt) -> Result<Backlogged, Failure> {
    let database = &installation.database;
    let wal_bytes = backlog::fill(database, plan.rows, plan.rows_per_transaction, Keys::Distinct)?;
    let backlog = Backlog::up_to_now(plan.slot, plan.rows, database)?;
    let over_tls = Configured {
        name: "the relay over TLS",
        relay: &installation.relay,
        settings: &installation.tls_settings,
    };
    let relay = Client::Carrier(&installation.relay, &installation.topic);
    let over_tls = Client::Carrier(&over_tls, &installation.topic);
    let mut clients = vec![Client::Recvlogical(Door::Tcp), relay];
    clients.extend(plan.is_over_tls_too.then_some(over_tls));
    // Not `pg_recvlogical`, which leaves the broker alone.
    warm_up(installation, &backlog, &clients[1..], plan.warm_ups, interrupt)?;
    let pairs = (0..plan.repetitions).map(|turn| {
        let drains = turns::in_rotation(turn, &clients, |client| {
            progress::step(&format!("{} of {}: {client} drains", turn + 1, plan.repetitions));
            drain::drain(installation, &backlog, *client, interrupt)
        });
        Ok(Pair::of(drains?))
    });
    let pairs = pairs.collect::<Result<Vec<Pair>, Failure>>()?;
    // From now on the server need not keep the WAL of the backlog.
    database.drop_slot(plan.slot)?;
    Ok(Backlogged {
        pairs,
        wal_bytes_per_event: wal_bytes / f64::from(plan.rows),
    })
}

/// A broker that has just started spends more on compiling its own code than on records; it takes it a million records and
/// more to be done with that.
fn warm_up(
    installation: &Installation,
    backlog: &Backlog,
    clients: &[Client<'_>],
    times: u32,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    for warm_up in 1..=times {
        progress::step(&format!("warm-up {warm_up} of {times}"));
        for client in clients {
            drain::drain(installation, backlog, *client, interrupt)?;
        }
    }
    Ok(())
}

/// Rows that came alone, each in a transaction of its own.
fn drain_singles(installation: &Installation, options: &Options, interrupt: &Interrupt) -> Result<Vec<Pair>, Failure> {
    if options.single_rows == 0 {
        return Ok(Vec::new());
    }
    installation.database.create_slot(SINGLE_SLOT)?;
    let plan = Plan {
        slot: SINGLE_SLOT,
        rows: options.single_rows,
        rows_per_transaction: 1,
        warm_ups: 0,
        repetitions: options.repetitions,
        is_over_tls_too: false,
    };
    Ok(drain_in_turn(installation, plan, interrupt)?.pairs)
}

fn drain_large(installation: &Installation, options: &Options, interrupt: &Interrupt) -> Result<Drain, Failure> {
    let database = &installation.database;
    database.create_slot(LARGE_SLOT)?;
    progress::step(&format!("a transaction of {} rows", options.large_rows));
    backlog::fill_at_once(database, options.large_rows, Payload::of_row(LARGE_ROW_BYTES))?;
    let backlog = Backlog::up_to_now(LARGE_SLOT, options.large_rows, database)?;
    let relay = Client::Carrier(&installation.relay, &installation.topic);
    let drained = drain::drain(installation, &backlog, relay, interrupt)?;
    database.drop_slot(LARGE_SLOT)?;
    Ok(drained)
}

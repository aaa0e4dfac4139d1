//! `compare`: the same work through the relay, through Debezium, and through any other relay, in turn.
//!
//! 1. A backlog, drained by each of them from an equal slot into a topic of its own, again and again.
//! 2. Everything in those topics, compared: carriers that publish something else are not compared by their speed.
//! 3. A live load of single rows through each of them, and how long until a consumer has them.

mod connection;
mod debezium;
mod distribution;
mod live;
mod other;
mod peer;
mod placeholders;
mod published;
mod report;
mod same_records;

use clap::Args;
use serde::Serialize;

use crate::backlog::{self, Keys, ROWS_PER_TRANSACTION};
use crate::drain::{self, Backlog, Client};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::SLOT;
use crate::results::{Circumstances, Folder};
use crate::steady::Load;
use crate::subject::Subject;
use crate::{machine, plot, progress, turns};
use distribution::Distribution;
use peer::Peer;
use published::Reader;
use report::{Report, Turn};
use same_records::Comparison;

/// So that some hundred rows have one key, and the order among them can be compared.
const AGGREGATES: u32 = 1_000;
/// As the rows of the backlog.
const LIVE_ROW_BYTES: u32 = 600;

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Rows of the backlog, 100 a transaction, about 600 bytes each on the wire
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(100..=100_000_000))]
    rows: u32,
    /// How often the backlog is drained by each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    repetitions: u32,
    /// The live load: single rows a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    live_rate: u32,
    /// How long it is measured each time; 0 leaves it out
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    live_seconds: u32,
    /// It is on for so long before: for what has just been started, and compiles itself
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=600))]
    live_warm_up_seconds: u32,
    /// How often each drains the backlog before anything counts: for the broker
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=50))]
    warm_ups: u32,
    #[arg(
        long,
        value_name = "COMMAND",
        help = "Compares with another relay too: a line for the shell that runs until it is stopped, with {host} {port} \
                {user} {password} {database} {slot} {publication} {bootstrap_servers} {topic} in it where it needs them. The process \
                that it becomes is measured, without those that it starts"
    )]
    other: Option<String>,
    /// Leaves Debezium out, which is 780 MB to download
    #[arg(long, requires = "other")]
    without_debezium: bool,
    /// Runs Debezium's embedded engine with a Kafka producer of its own, as where Debezium Server's Java 21 is missing
    #[arg(long, conflicts_with = "without_debezium")]
    debezium_engine: bool,
    #[command(flatten)]
    #[serde(skip)]
    subject: Subject,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
    /// Sets a property of Debezium, for experiments; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    debezium_set: Vec<String>,
    /// The heap of Debezium's Java
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..=65_536))]
    debezium_heap_mib: u32,
}

impl Options {
    fn live_load(&self) -> Load {
        Load::of_single_rows(
            self.live_rate,
            LIVE_ROW_BYTES,
            self.live_warm_up_seconds,
            self.live_seconds,
        )
    }
}

/// Measures, compares what was published, prints a table, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let distribution = (!options.without_debezium)
        .then(|| Distribution::find(options.debezium_engine))
        .transpose()?;
    let program = options.subject.program()?;
    let load_before = machine::load();
    let installation = Installation::start(program, &options.subject, interrupt)?;
    let peers = peer::all(distribution, options, &installation, interrupt)?;
    let turns = drain_in_turn(&installation, &peers, options, interrupt)?;
    let differences = differences(&installation, &peers, interrupt)?;
    let load = options.live_load();
    let repetitions = if options.live_seconds == 0 {
        0
    } else {
        options.repetitions
    };
    let live = live::in_turn(&installation, &peers, load, repetitions, interrupt)?;
    let circumstances = Circumstances::now(&options.subject, options, load_before);
    let report = Report::new(circumstances, &options.debezium_set, turns, live, &peers, differences);
    drop(peers);
    drop(installation);
    println!("{}", report.table());
    println!("kept in {}", report.keep(options.folder.path())?.display());
    plot::from_results(options.folder.path());
    println!();
    print!("{}", report.numbers());
    report.expect_same_records()
}

fn drain_in_turn(
    installation: &Installation,
    peers: &[Peer],
    options: &Options,
    interrupt: &Interrupt,
) -> Result<Vec<Turn>, Failure> {
    let database = &installation.database;
    installation.relay.command(&["slot", "create"], interrupt)?;
    let aggregates = AGGREGATES.min(options.rows);
    backlog::fill(
        database,
        options.rows,
        ROWS_PER_TRANSACTION,
        Keys::Repeated { aggregates },
    )?;
    let backlog = Backlog::up_to_now(SLOT, options.rows, database)?;
    let relay = Client::Carrier(&installation.relay, &installation.topic);
    let peers = peers
        .iter()
        .map(|peer| Client::Carrier(peer.carrier.as_ref(), &peer.topic));
    let all: Vec<Client<'_>> = [relay].into_iter().chain(peers).collect();
    let turn = |which: &str, turn: u32, of: u32| {
        let drains = turns::in_rotation(turn, &all, |client| {
            progress::step(&format!("{which}{} of {of}: {client} drains", turn + 1));
            drain::drain(installation, &backlog, *client, interrupt)
        });
        Ok(Turn::of(drains?))
    };
    // All of them, so that each topic has the backlog as often.
    for warm_up in 0..options.warm_ups {
        turn("warm-up ", warm_up, options.warm_ups)?;
    }
    let turns = (0..options.repetitions).map(|repetition| turn("", repetition, options.repetitions));
    let turns = turns.collect::<Result<_, Failure>>()?;
    database.drop_slot(SLOT)?;
    Ok(turns)
}

/// For each peer, what was published otherwise than by the relay, or how much was the same.
fn differences(
    installation: &Installation,
    peers: &[Peer],
    interrupt: &Interrupt,
) -> Result<Vec<Result<String, String>>, Failure> {
    let reader = Reader::new(installation.stack.kafka.bootstrap_servers(), interrupt)?;
    let relay_topic = installation.topic.name();
    progress::step(&format!("reading {relay_topic}"));
    let by_relay = reader.published(relay_topic)?;
    let compared = peers.iter().map(|peer| {
        let topic = peer.topic.name();
        progress::step(&format!("reading {topic}"));
        let by_peer = reader.published(topic)?;
        let same = format!(
            "the same {} records by both, {} distinct ones, of {} keys, in one order for each key",
            by_relay.records(),
            by_relay.distinct_records(),
            by_relay.keys()
        );
        Ok(match Comparison::of(&by_relay, &by_peer) {
            None => Ok(same),
            Some(comparison) => Err(reader.first_difference(&comparison, [relay_topic, topic])?),
        })
    });
    compared.collect()
}

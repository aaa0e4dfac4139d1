//! Measures what the relay carries, at what latency and at what cost.
//!
//! Where servers are needed, a sub-command starts a `PostgreSQL` and a Kafka of its own, measures the release binary from
//! outside, and takes everything down again. Nothing is asserted on time: a number is printed, and judged by who reads it.

mod backlog;
mod capacity;
mod carrier;
mod child;
mod compare;
mod configuration;
mod database;
mod door;
mod drain;
mod failure;
mod goals;
mod installation;
mod interrupt;
mod lazy_reader;
mod machine;
mod matrix;
mod median;
mod micro;
mod plot;
mod producer_alone;
mod profile;
mod progress;
mod recvlogical;
mod relay;
mod results;
mod run_queue;
mod server_cpu;
mod set_aside;
mod smoke;
mod source;
mod stat;
mod steady;
mod subject;
mod topic;
mod turns;
mod usage;
mod warm_up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use interrupt::Interrupt;
use tikv_jemallocator::Jemalloc;

/// The relay's own, which librdkafka takes too: a producer that is measured alone would not be the relay's without it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Measures the relay against a real `PostgreSQL` and a real Kafka of its own.
#[derive(Debug, Parser)]
#[command(name = "outbox-relay-bench", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Minutes: a backlog against `pg_recvlogical`, one large transaction, and the time to the first record
    Smoke(smoke::Options),
    /// A minute a case, a quarter of an hour with --matrix: a backlog of stated rows against the limits above and below it
    Drain(matrix::Options),
    /// Ten minutes, after the download: the same work through Debezium, and through any other relay, in turn
    Compare(compare::Options),
    /// A minute or two: decoder, mapping and ledger on one core, without servers
    Micro(micro::Options),
    /// Five minutes: a backlog with defects, delivery states, and dead letters that are redriven
    SetAside(set_aside::Options),
    /// A minute or two: where the relay's CPU time goes, as a flame graph; see `make profile`
    Profile(profile::Options),
    /// At once: what was asked for, beside the newest results of the other sub-commands
    Goals(goals::Options),
    /// At once: what a stated load needs, from what was measured
    Capacity(capacity::Options),
    /// Latency at an offered rate, and with --search the highest rate that keeps a latency: the peak TPS
    Steady(steady::Options),
    /// At once: kept results as SVG
    Plot(plot::Options),
    /// What `drain` starts to know the limit above
    #[command(name = lazy_reader::COMMAND, hide = true)]
    LazyReader(lazy_reader::Options),
    /// What `drain` starts to know the limit below
    #[command(name = producer_alone::COMMAND, hide = true)]
    ProducerAlone(producer_alone::Options),
}

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let outcome = Interrupt::watch().and_then(|interrupt| match command_line.command {
        Command::Smoke(options) => smoke::run(&options, &interrupt),
        Command::Drain(options) => matrix::run(&options, &interrupt),
        Command::Compare(options) => compare::run(&options, &interrupt),
        Command::Micro(options) => micro::run(&options, &interrupt),
        Command::SetAside(options) => set_aside::run(&options, &interrupt),
        Command::Profile(options) => profile::run(&options, &interrupt),
        Command::Goals(options) => goals::run(&options),
        Command::Capacity(options) => capacity::run(&options),
        Command::Steady(options) => steady::run(&options, &interrupt),
        Command::Plot(options) => plot::run(&options),
        Command::LazyReader(options) => lazy_reader::run(&options, &interrupt),
        Command::ProducerAlone(options) => producer_alone::run(&options, &interrupt),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("outbox-relay-bench: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const MAKEFILE: &str = include_str!("../../Makefile");

    /// The results of a sub-command that measures, as far as its parameters decide whether they count.
    fn results(command: &Command) -> Option<(&'static str, Value)> {
        let (name, parameters) = match command {
            Command::Smoke(options) => ("smoke", serde_json::to_value(options)),
            Command::Drain(options) => ("drain", serde_json::to_value(options)),
            Command::Compare(options) => ("compare", serde_json::to_value(options)),
            Command::Micro(options) => ("micro", serde_json::to_value(options)),
            Command::Steady(options) => ("steady", serde_json::to_value(options)),
            Command::SetAside(options) => ("set-aside", serde_json::to_value(options)),
            _ => return None,
        };
        let parameters = parameters.expect("JSON");
        let is_search = parameters.get("search") == Some(&json!(true));
        let name = if is_search { "steady-search" } else { name };
        Some((name, json!({"profile": "release", "parameters": parameters})))
    }

    #[test]
    fn everything_that_make_bench_and_make_bench_full_measure_counts() {
        let lines = MAKEFILE.lines().filter_map(|line| line.strip_prefix("\t$(BENCH) "));
        let mut counted = Vec::new();
        for line in lines.filter(|line| !line.contains("$(ARGS)")) {
            let command = line.split(" ||").next().unwrap_or(line);
            let words = ["bench"].into_iter().chain(command.split_whitespace());
            let command = CommandLine::try_parse_from(words).expect("valid options").command;
            if let Some((name, results)) = results(&command) {
                assert_eq!(results::objection_to(name, &results), None, "{line}");
                counted.push(name);
            }
        }
        counted.sort_unstable();
        counted.dedup();
        assert_eq!(
            counted,
            [
                "compare",
                "drain",
                "micro",
                "set-aside",
                "smoke",
                "steady",
                "steady-search"
            ]
        );
    }
}

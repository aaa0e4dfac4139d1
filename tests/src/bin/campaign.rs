//! Runs the fault programme at length. What is done is kept in `tests/campaign.jsonl`, so that a run can be ended at any
//! time and gone on with later.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use fastrand::Rng;
use outbox_relay_tests::campaign::{
    CASES, Case, Entry, GOALS, PARTS, Part, Results, fuzz, page, progress, simulate, soak,
};
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::stack::{self, kafka_version};

const PAGE: &str = "RELIABILITY.md";

/// The fault programme at length; what is done is kept in tests/campaign.jsonl.
#[derive(Debug, Parser)]
#[command(name = "campaign")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run rounds until the goals are reached or the time is over.
    Run {
        /// Only these parts; without any, all of them by turns.
        #[arg(long)]
        part: Vec<String>,
        /// No round begins after so many minutes.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
        /// Chooses the moments of the first round; the next one has the next seed.
        #[arg(long)]
        seed: Option<u64>,
        /// Faults a round, instead of the part's own number.
        #[arg(long)]
        faults: Option<usize>,
        /// So many rounds of each part, whatever is done already: for another version of a server.
        #[arg(long, conflicts_with_all = ["minutes", "trial"])]
        rounds: Option<usize>,
        /// One round of each part, whatever is done already, recorded nowhere.
        #[arg(long)]
        trial: bool,
    },
    /// Run the simulation with so many seeds, from the first that has not been run.
    Simulate {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        seeds: u64,
    },
    /// Run every fuzz target for so many seconds of its own.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only these targets.
        #[arg(long)]
        target: Vec<String>,
        /// The fuzzer, built with coverage.
        #[arg(long)]
        program: PathBuf,
    },
    /// The large cases, each once.
    Big {
        /// Only these.
        #[arg(long)]
        case: Vec<String>,
    },
    /// A steady load for so many minutes.
    Soak {
        /// How many.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Say what is done and what is left.
    Status,
    /// Make the table of RELIABILITY.md anew.
    Report,
}

fn main() -> ExitCode {
    match act(Arguments::parse().action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Outcome {
    let results = Results::of_workspace();
    match action {
        Action::Run {
            part,
            minutes,
            seed,
            faults,
            rounds,
            trial,
        } => {
            let parts = parts(&part)?;
            stack::shared()?;
            let seed = seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
            if trial {
                return parts
                    .iter()
                    .try_for_each(|part| round(part, seed, faults).and_then(|entry| accept(&entry)));
            }
            if let Some(rounds) = rounds {
                let seeds = seed..seed + rounds as u64;
                let each = |seed| {
                    parts
                        .iter()
                        .try_for_each(|part| record(&results, &round(part, seed, faults)?))
                };
                return seeds.into_iter().try_for_each(each);
            }
            run(&results, &parts, Duration::from_secs(60 * minutes), seed, faults)?;
        }
        Action::Simulate { seeds } => {
            let goal = GOALS.iter().find(|goal| goal.part == "simulation");
            let done = goal.map_or(0, |goal| progress(*goal, &results.read().unwrap_or_default()));
            record(&results, &simulate(done + 1, seeds)?)?;
        }
        Action::Fuzz {
            seconds,
            target,
            program,
        } => fuzz_all(&results, &program, &target, seconds)?,
        Action::Big { case } => {
            stack::shared()?;
            let wanted = |known: &&Case| case.is_empty() || case.iter().any(|name| name == known.name);
            for case in CASES.iter().filter(wanted) {
                println!("{}: {} rows: {}", case.name, case.full, case.meaning);
                record(&results, &attempt(case.name, || case.run(case.full))?)?;
            }
        }
        Action::Soak { minutes } => {
            stack::shared()?;
            record(&results, &attempt("soak", || soak(minutes))?)?;
        }
        Action::Status => {
            let entries = results.read()?;
            for goal in GOALS {
                println!(
                    "{:<16} {:>7} of {:>7} {}",
                    goal.part,
                    progress(goal, &entries),
                    goal.count,
                    goal.unit
                );
            }
        }
        Action::Report => {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
            fs::write(&place, page(&fs::read_to_string(&place)?, &results.read()?)?)?;
        }
    }
    Ok(())
}

fn parts(named: &[String]) -> Outcome<Vec<Part>> {
    if named.is_empty() {
        return Ok(PARTS.to_vec());
    }
    let find = |name: &String| {
        let found = PARTS.into_iter().find(|part| part.name == name);
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        found.ok_or_else(|| Failure::new(format!("there is no part {name}; there are {}", known.join(", "))))
    };
    named.iter().map(find).collect()
}

/// One round of each part by turns, as long as a goal is open.
fn run(results: &Results, parts: &[Part], limit: Duration, mut seed: u64, faults: Option<usize>) -> Outcome {
    let began = Instant::now();
    loop {
        let entries = results.read()?;
        let is_open = |part: &&Part| {
            let goal = GOALS.iter().find(|goal| goal.part == part.name);
            goal.is_some_and(|goal| progress(*goal, &entries) < goal.count)
        };
        let open: Vec<Part> = parts.iter().filter(is_open).copied().collect();
        if open.is_empty() {
            println!("every goal is reached");
            return Ok(());
        }
        for part in open {
            if began.elapsed() >= limit {
                println!("the time is over");
                return Ok(());
            }
            record(results, &round(&part, seed, faults)?)?;
            seed += 1;
        }
    }
}

fn round(part: &Part, seed: u64, faults: Option<usize>) -> Outcome<Entry> {
    println!("{} seed {seed}: {}", part.name, part.meaning);
    let mut entry = Entry::begin(part.name, seed)?;
    kafka_version().clone_into(&mut entry.kafka);
    entry.postgres = std::env::var("OUTBOX_RELAY_STACK_POSTGRES").unwrap_or_else(|_| "15".to_owned());
    // Names of databases and topics come from the thread's own generator, and must not be the same twice.
    let mut random = Rng::with_seed(seed);
    let round = (part.run)(&mut random, faults.unwrap_or(part.faults));
    Ok(match round {
        Ok(round) => entry.of_round(round),
        Err(failure) => {
            eprintln!("{} seed {seed}: {failure}", part.name);
            entry.of_failure(&failure)
        }
    })
}

/// What fails is recorded as that, too.
fn attempt(part: &str, run: impl FnOnce() -> Outcome<Entry>) -> Outcome<Entry> {
    let begun = Entry::begin(part, 0)?;
    Ok(run().unwrap_or_else(|failure| {
        eprintln!("{part}: {failure}");
        begun.of_failure(&failure)
    }))
}

fn record(results: &Results, entry: &Entry) -> Outcome {
    results.add(entry)?;
    accept(entry)
}

fn accept(entry: &Entry) -> Outcome {
    let line = serde_json::to_string(entry)?;
    println!("{line}");
    ensure(entry.is_clean(), || format!("violations: {line}"))
}

fn fuzz_all(results: &Results, program: &Path, named: &[String], seconds: u64) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let targets: Vec<String> = GOALS
        .iter()
        .filter_map(|goal| goal.part.strip_prefix("fuzz-"))
        .filter(|target| named.is_empty() || named.iter().any(|name| name == target))
        .map(str::to_owned)
        .collect();
    ensure(!targets.is_empty(), || format!("no target is named {named:?}"))?;
    for target in targets {
        let (found, kept) = (
            root.join("target/fuzz-corpus").join(&target),
            root.join("fuzz/corpus").join(&target),
        );
        fs::create_dir_all(&found)?;
        let golden = root.join("decoder/golden");
        let corpora = [found.as_path(), &kept, &golden];
        let entry = fuzz(program, &target, &corpora, &root.join("target/fuzz-artifacts"), seconds)?;
        record(results, &entry)?;
    }
    Ok(())
}

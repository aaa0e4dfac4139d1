//! The fault programme at length: rounds of one kind of fault each, at moments that a seed chooses, judged by the one
//! verifier, counted, and kept in a file that grows until the goals are reached.
//!
//! A round is a scenario of its own with several faults. A round that fails is recorded as what it was, and ends the run.

mod big;
mod faults;
mod goals;
mod letters;
mod network;
mod outside;
mod probe;
mod results;
mod soak;

pub use big::{CASES, Case};
pub use goals::{GOALS, Goal, progress};
pub use outside::{fuzz, simulate};
pub use results::{Entry, Results, page};
pub use soak::soak;

use fastrand::Rng;

use crate::failure::Outcome;
use crate::verifier::Report;

/// What one round did.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// Faults injected that were shown to have hit something.
    pub faults: usize,
    /// What the verifier found.
    pub report: Report,
    /// From the end of each outage until a record is acknowledged again.
    pub recovery_ms: Vec<u64>,
    /// Kafka nodes.
    pub brokers: usize,
}

/// A kind of round.
#[derive(Clone, Copy)]
pub struct Part {
    /// Its name, in the results and on the command line.
    pub name: &'static str,
    /// What it does, for people.
    pub meaning: &'static str,
    /// Faults of one round.
    pub faults: usize,
    /// Runs one round.
    pub run: fn(&mut Rng, usize) -> Outcome<Round>,
}

/// Every kind of round.
pub const PARTS: [Part; 10] = [
    Part {
        name: "relay-kill",
        meaning: "kill -9 of the relay under load",
        faults: 25,
        run: faults::kill_relays,
    },
    Part {
        name: "letter-kill",
        meaning: "kill -9 of the relay while rows are set aside and redriven",
        faults: 25,
        run: letters::kill_relays,
    },
    Part {
        name: "relay-stop",
        meaning: "SIGTERM to the relay under load",
        faults: 25,
        run: faults::stop_relays,
    },
    Part {
        name: "broker-kill",
        meaning: "kill -9 of one of three brokers",
        faults: 5,
        run: faults::kill_brokers,
    },
    Part {
        name: "leader-kill",
        meaning: "the same, and recovery from when another producer is answered in each partition",
        faults: 5,
        run: faults::kill_leaders,
    },
    Part {
        name: "kafka-outage",
        meaning: "kill -9 of the only broker, and its restart",
        faults: 3,
        run: faults::kafka_outages,
    },
    Part {
        name: "postgres-kill",
        meaning: "immediate stop or kill -9 of PostgreSQL, and its restart",
        faults: 10,
        run: faults::kill_postgres,
    },
    Part {
        name: "takeover",
        meaning: "kill -9 of the relay that owns the slot, with a standby",
        faults: 5,
        run: faults::takeovers,
    },
    Part {
        name: "freeze",
        meaning: "SIGSTOP of the relay, of PostgreSQL with its sessions, or of the broker, and SIGCONT",
        faults: 10,
        run: faults::freezes,
    },
    Part {
        name: "network",
        meaning: "cut, cut inside a frame, half-open either way, black hole, delay; to PostgreSQL and to Kafka",
        faults: 10,
        run: network::faults,
    },
];

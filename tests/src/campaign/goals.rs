//! How much is enough.

use super::results::Entry;

/// How much of a part is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Its name.
    pub part: &'static str,
    /// How much.
    pub count: u64,
    /// Of what.
    pub unit: &'static str,
}

const fn goal(part: &'static str, count: u64, unit: &'static str) -> Goal {
    Goal { part, count, unit }
}

/// What has to be done before a release.
pub const GOALS: [Goal; 25] = [
    goal("relay-kill", 300, "faults"),
    goal("letter-kill", 200, "faults"),
    goal("relay-stop", 50, "faults"),
    goal("broker-kill", 50, "faults"),
    goal("leader-kill", 10, "faults"),
    goal("kafka-outage", 10, "faults"),
    goal("postgres-kill", 50, "faults"),
    goal("takeover", 20, "faults"),
    goal("freeze", 50, "faults"),
    goal("network", 100, "faults"),
    goal("big-backlog", 10_000_000, "rows"),
    goal("big-transaction", 5_000_000, "rows"),
    goal("big-commits", 100_000, "rows"),
    goal("big-rows", 1_000, "rows"),
    goal("big-columns", 100_000, "rows"),
    goal("big-tables", 100_000, "rows"),
    goal("simulation", 100_000, "seeds"),
    goal("fuzz-frames", 3_600, "CPU s"),
    goal("fuzz-message", 3_600, "CPU s"),
    goal("fuzz-sequence", 3_600, "CPU s"),
    goal("fuzz-metadata", 3_600, "CPU s"),
    goal("fuzz-pipeline", 3_600, "CPU s"),
    goal("fuzz-login", 3_600, "CPU s"),
    goal("fuzz-config", 3_600, "CPU s"),
    goal("soak", 60, "minutes"),
];

/// How much of it was done.
pub fn progress(goal: Goal, entries: &[Entry]) -> u64 {
    let of_it = entries.iter().filter(|entry| entry.part == goal.part);
    of_it.map(|entry| entry.count).sum()
}

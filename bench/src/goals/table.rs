//! The goals, and how far they are reached.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::results::Values;

/// Which way is better.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One number that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    what: &'static str,
    /// The sub-command that measures it.
    command: &'static str,
    value: &'static str,
    bound: Bound,
    unit: &'static str,
}

const fn goal(
    what: &'static str,
    command: &'static str,
    value: &'static str,
    bound: Bound,
    unit: &'static str,
) -> Goal {
    Goal {
        what,
        command,
        value,
        bound,
        unit,
    }
}

/// In the order in which they are shown.
pub(super) const GOALS: [Goal; 16] = [
    goal(
        "drain, 600 B rows, 100 a transaction, against pg_recvlogical",
        "smoke",
        "drain_ratio",
        Bound::AtLeast(1.4),
        "×",
    ),
    goal(
        "the same, 1 row a transaction",
        "smoke",
        "single_drain_ratio",
        Bound::AtLeast(1.8),
        "×",
    ),
    goal(
        "CPU of the relay in the first",
        "smoke",
        "drain_cpu_us_per_event",
        Bound::AtMost(5.0),
        "µs an event",
    ),
    goal(
        "drain with TLS on both sides, against plain text",
        "smoke",
        "tls_ratio",
        Bound::AtLeast(0.7),
        "×",
    ),
    goal(
        "peak RSS, a million rows of 1 KiB in one transaction among the drains",
        "smoke",
        "rss_mib",
        Bound::AtMost(64.0),
        "MiB",
    ),
    goal(
        "start to first record, warm broker",
        "smoke",
        "start_ms",
        Bound::AtMost(800.0),
        "ms",
    ),
    goal(
        "commit→ack p50, 2,000 single rows a second",
        "steady",
        "steady_commit_to_ack_p50_ms",
        Bound::AtMost(3.0),
        "ms",
    ),
    goal(
        "commit→ack p99",
        "steady",
        "steady_commit_to_ack_p99_ms",
        Bound::AtMost(15.0),
        "ms",
    ),
    goal(
        "CPU of the relay at that rate",
        "steady",
        "relay_cpu_percent",
        Bound::AtMost(10.0),
        "% of a core",
    ),
    goal(
        "decode and map, one core",
        "micro",
        "micro_decode_and_map_rows_per_s",
        Bound::AtLeast(3e6),
        "rows/s",
    ),
    goal(
        "events/s against Debezium Server",
        "compare",
        "debezium_drain_ratio",
        Bound::AtLeast(4.0),
        "×",
    ),
    goal(
        "CPU an event against it",
        "compare",
        "debezium_cpu_ratio",
        Bound::AtMost(0.1),
        "×",
    ),
    goal(
        "peak RSS against it",
        "compare",
        "debezium_rss_ratio",
        Bound::AtMost(1.0 / 12.0),
        "×",
    ),
    goal(
        "insert→consumer p50 against it",
        "compare",
        "debezium_insert_to_consumer_p50_ratio",
        Bound::AtMost(0.25),
        "×",
    ),
    goal(
        "insert→consumer p99 against it",
        "compare",
        "debezium_insert_to_consumer_p99_ratio",
        Bound::AtMost(2.0 / 3.0),
        "×",
    ),
    goal(
        "the same records as Debezium Server",
        "compare",
        "debezium_same_records",
        Bound::AtLeast(1.0),
        "(1: yes)",
    ),
];

/// Results of a sub-command.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) command: &'static str,
    pub(super) file: String,
    pub(super) values: Values,
}

/// The sub-commands whose results are looked for.
pub(super) fn commands() -> BTreeSet<&'static str> {
    GOALS.iter().map(|goal| goal.command).collect()
}

impl Bound {
    fn is_kept_by(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        }
    }

    fn text(self) -> String {
        match self {
            Bound::AtLeast(bound) => format!("≥ {}", number(bound)),
            Bound::AtMost(bound) => format!("≤ {}", number(bound)),
        }
    }
}

impl Goal {
    /// The results that it is held against: a newer run may have left it out, as `smoke` without `--tls` does. `found` are
    /// the newest of a sub-command first.
    fn newest<'f>(&self, found: &'f [Found]) -> Option<&'f Found> {
        let has_it = |found: &&Found| found.command == self.command && found.values.get(self.value).is_some();
        found.iter().find(has_it)
    }
}

/// Every number of the results that goals are held against; of two, that of the newer.
pub(super) fn values(goals: &[Goal], found: &[Found]) -> Values {
    let is_used = |one: &&Found| {
        goals
            .iter()
            .any(|goal| goal.newest(found).is_some_and(|used| used.file == one.file))
    };
    let mut values = Values::default();
    for used in found.iter().filter(is_used) {
        values.complete_with(&used.values);
    }
    values
}

/// A Markdown table with a line for each goal.
pub(super) fn table(goals: &[Goal], found: &[Found]) -> String {
    let mut table = String::from("| what | goal | measured | reached | results |\n| --- | --: | --: | --- | --- |\n");
    for goal in goals {
        let of_it = goal.newest(found);
        let value = of_it.and_then(|found| found.values.get(goal.value));
        let measured = value.map_or_else(|| "not measured".to_owned(), number);
        let reached = match value {
            None => "",
            Some(value) if goal.bound.is_kept_by(value) => "yes",
            Some(_) => "no",
        };
        let file = of_it.map_or("", |found| &found.file);
        let (what, bound, unit) = (goal.what, goal.bound.text(), goal.unit);
        let _ = writeln!(table, "| {what} | {bound} {unit} | {measured} | {reached} | {file} |");
    }
    table
}

fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(command: &'static str, values: &str) -> Found {
        Found {
            command,
            file: format!("{command}-7.json"),
            values: Values::parse(values),
        }
    }

    #[test]
    fn each_goal_is_held_against_the_results_of_its_own_sub_command() {
        let goals = [
            goal("speed", "smoke", "ratio", Bound::AtLeast(1.4), "×"),
            goal("wait", "steady", "wait_ms", Bound::AtMost(3.0), "ms"),
            goal("cost", "smoke", "cpu", Bound::AtMost(5.0), "µs"),
        ];
        let found = [
            found("smoke", "ratio=1.5\nwait_ms=1\n"),
            found("steady", "wait_ms=3.5\n"),
        ];
        let table = table(&goals, &found);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| speed | ≥ 1.40 × | 1.50 | yes | smoke-7.json |",
                "| wait | ≤ 3.00 ms | 3.50 | no | steady-7.json |",
                "| cost | ≤ 5.00 µs | not measured |  |  |",
            ]
        );
    }

    #[test]
    fn what_the_newest_has_not_measured_is_taken_from_the_one_before() {
        let goals = [
            goal("speed", "smoke", "ratio", Bound::AtLeast(1.4), "×"),
            goal("encrypted", "smoke", "tls_ratio", Bound::AtLeast(0.7), "×"),
        ];
        let of = |stamp: u32, values: &str| Found {
            file: format!("smoke-{stamp}.json"),
            ..found("smoke", values)
        };
        let found = [
            of(9, "ratio=1.5\n"),
            of(8, "ratio=1.3\ntls_ratio=0.6\n"),
            of(7, "ratio=1.2\ntls_ratio=0.5\nolder=1\n"),
        ];
        let table = table(&goals, &found);
        let files: Vec<&str> = table
            .lines()
            .skip(2)
            .filter_map(|line| line.split(" | ").last())
            .collect();
        assert_eq!(files, ["smoke-9.json |", "smoke-8.json |"]);
        assert_eq!(values(&goals, &found).to_string(), "ratio=1.5\ntls_ratio=0.6\n");
    }

    #[test]
    fn a_bound_that_is_met_exactly_is_kept() {
        assert!(Bound::AtLeast(1.4).is_kept_by(1.4) && Bound::AtMost(1.4).is_kept_by(1.4));
        assert!(!Bound::AtLeast(1.4).is_kept_by(1.39) && !Bound::AtMost(1.4).is_kept_by(1.41));
    }
}

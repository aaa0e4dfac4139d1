//! The numbers that were asked for.

use std::collections::BTreeSet;

/// Which way is better.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One number that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    pub(super) what: &'static str,
    /// The sub-command that measures it.
    pub(super) command: &'static str,
    pub(super) value: &'static str,
    pub(super) bound: Bound,
    pub(super) unit: &'static str,
}

pub(super) const fn goal(
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
pub(super) const GOALS: [Goal; 18] = [
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
        "drain with 1 in 1,000 set aside by the relay, against the same without",
        "set-aside",
        "set_aside_drain_ratio",
        Bound::AtLeast(0.5),
        "×",
    ),
    goal(
        "dead letters redriven",
        "set-aside",
        "redriven_letters_per_s",
        Bound::AtLeast(5_000.0),
        "letters/s",
    ),
    goal(
        "events/s against Debezium",
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
        "the same records as Debezium",
        "compare",
        "debezium_same_records",
        Bound::AtLeast(1.0),
        "(1: yes)",
    ),
];

/// A sub-command whose numbers are shown although no goal is about them: the peak TPS.
pub(super) const SHOWN_TOO: &str = "steady-search";

/// The sub-commands whose results are looked for.
pub(super) fn commands() -> BTreeSet<&'static str> {
    let of_goals = GOALS.iter().map(|goal| goal.command);
    of_goals.chain([SHOWN_TOO]).collect()
}

impl Bound {
    pub(super) fn is_kept_by(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => value >= bound,
            Bound::AtMost(bound) => value <= bound,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Bound::AtLeast(bound) => format!("≥ {}", number(bound)),
            Bound::AtMost(bound) => format!("≤ {}", number(bound)),
        }
    }
}

/// As many digits as tell it from its bound.
pub(super) fn number(value: f64) -> String {
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

    #[test]
    fn a_bound_that_is_met_exactly_is_kept() {
        assert!(Bound::AtLeast(1.4).is_kept_by(1.4) && Bound::AtMost(1.4).is_kept_by(1.4));
        assert!(!Bound::AtLeast(1.4).is_kept_by(1.39) && !Bound::AtMost(1.4).is_kept_by(1.41));
    }
}

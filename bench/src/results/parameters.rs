//! The parameters that goals are about: `make bench` and `make bench-full` have these or more.

use serde_json::Value;

use crate::warm_up;

/// What a parameter has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Exactly(f64),
    AtLeast(f64),
    /// Or not measured at all, which is 0.
    AtLeastOrNone(f64),
    /// A flag, a list or a value that is only there when it is given.
    Given(bool),
    Word(&'static str),
    /// A check that must not have failed, which is 0.
    Confirmed,
}
use Wanted::{AtLeast, AtLeastOrNone, Confirmed, Exactly, Given, Word};

/// One of them: where it is in the results, and how it is given.
pub(super) type Parameter = (&'static str, &'static str, Wanted);

/// Of everything that measures the relay.
const OF_ALL: [Parameter; 3] = [
    ("/relay_program", "--relay", Given(false)),
    ("/relay_overrides", "--set", Given(false)),
    ("/quick_start", "--quick-start", Given(false)),
];

const SMOKE: [Parameter; 6] = [
    ("/parameters/rows", "--rows", AtLeast(500_000.0)),
    ("/parameters/repetitions", "--repetitions", AtLeast(3.0)),
    ("/parameters/warm_ups", "--warm-ups", AtLeast(3.0)),
    ("/parameters/single_rows", "--single-rows", AtLeastOrNone(200_000.0)),
    ("/parameters/large_rows", "--large-rows", AtLeast(1_000_000.0)),
    ("/parameters/starts", "--starts", AtLeast(5.0)),
];

const STEADY: [Parameter; 3] = [
    ("/parameters/rate", "--rate", Exactly(2_000.0)),
    ("/parameters/seconds", "--seconds", AtLeast(15.0)),
    ("/parameters/repetitions", "--repetitions", AtLeast(5.0)),
];

const STEADY_SEARCH: [Parameter; 2] = [
    ("/parameters/seconds", "--seconds", AtLeast(30.0)),
    ("/parameters/p99_bound_ms", "--p99-bound-ms", Exactly(50.0)),
];

/// Of both.
const LIVE: [Parameter; 6] = [
    ("/parameters/warm_up_seconds", "--warm-up-seconds", AtLeast(5.0)),
    (
        "/parameters/broker_warm_up_records",
        "--broker-warm-up-records",
        AtLeast(warm_up::RECORDS as f64),
    ),
    (
        "/parameters/rows_per_transaction",
        "--rows-per-transaction",
        Exactly(1.0),
    ),
    ("/parameters/row_bytes", "--row-bytes", Exactly(600.0)),
    ("/parameters/connections", "--connections", Given(false)),
    ("/parameters/synchronous_commit", "--synchronous-commit on", Given(true)),
];

const DRAIN: [Parameter; 4] = [
    ("/parameters/matrix", "--matrix", Given(true)),
    ("/parameters/rows", "--rows", AtLeast(500_000.0)),
    ("/parameters/repetitions", "--repetitions", AtLeast(3.0)),
    ("/parameters/warm_ups", "--warm-ups", AtLeast(3.0)),
];

const COMPARE: [Parameter; 9] = [
    ("/parameters/rows", "--rows", AtLeast(500_000.0)),
    ("/parameters/repetitions", "--repetitions", AtLeast(3.0)),
    ("/parameters/warm_ups", "--warm-ups", AtLeast(2.0)),
    ("/parameters/live_rate", "--live-rate", Exactly(1_000.0)),
    ("/parameters/live_seconds", "--live-seconds", AtLeastOrNone(20.0)),
    (
        "/parameters/live_warm_up_seconds",
        "--live-warm-up-seconds",
        AtLeast(30.0),
    ),
    ("/parameters/debezium_heap_mib", "--debezium-heap-mib", Exactly(512.0)),
    ("/parameters/debezium_set", "--debezium-set", Given(false)),
    // Who publishes something else is not compared by speed.
    (
        "/values/debezium_same_records",
        "the same records as Debezium",
        Confirmed,
    ),
];

const SET_ASIDE: [Parameter; 4] = [
    ("/parameters/rows", "--rows", AtLeast(500_000.0)),
    ("/parameters/letters", "--letters", AtLeast(100_000.0)),
    ("/parameters/repetitions", "--repetitions", AtLeast(3.0)),
    ("/parameters/warm_ups", "--warm-ups", AtLeast(3.0)),
];

const MICRO: [Parameter; 2] = [
    ("/profile", "the profile", Word("release")),
    ("/parameters/seconds", "--seconds", AtLeast(5.0)),
];

/// Those of the results of a sub-command.
pub(super) fn of(command: &str) -> Vec<Parameter> {
    let own: &[&[Parameter]] = match command {
        "smoke" => &[&SMOKE],
        "steady" => &[&STEADY, &LIVE],
        "steady-search" => &[&STEADY_SEARCH, &LIVE],
        "drain" => &[&DRAIN],
        "compare" => &[&COMPARE],
        "micro" => &[&MICRO],
        "set-aside" => &[&SET_ASIDE],
        _ => &[],
    };
    [&OF_ALL[..], &own.concat()].concat()
}

impl Wanted {
    /// Why a value is not what is wanted; `name` is how it is given.
    pub(super) fn objection(self, name: &str, found: &Value) -> Option<String> {
        let number = found.as_f64();
        let instead = |wanted: String| Some(format!("{name} {found} instead of {wanted}"));
        match self {
            Exactly(wanted) if number != Some(wanted) => instead(wanted.to_string()),
            AtLeast(wanted) if number.is_none_or(|found| found < wanted) => instead(format!("{wanted} or more")),
            AtLeastOrNone(wanted) if number.is_none_or(|found| found > 0.0 && found < wanted) => {
                instead(format!("{wanted} or more"))
            }
            Given(true) if !is_given(found) => Some(format!("without {name}")),
            Given(false) if is_given(found) => Some(format!("with {name} {}", words(found))),
            Confirmed if number == Some(0.0) => Some(format!("{name} were not found")),
            Word(wanted) if found.as_str() != Some(wanted) => instead(wanted.to_owned()),
            _ => None,
        }
    }
}

fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Array(values) => !values.is_empty(),
        _ => true,
    }
}

/// As they were given, more or less.
fn words(value: &Value) -> String {
    match value {
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

//! How far the goals are reached.

use std::fmt::Write;

use serde::Deserialize;

use super::goal::{Goal, SHOWN_TOO, number};
use crate::machine::Machine;
use crate::results::Values;

/// Results of a sub-command.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) command: &'static str,
    pub(super) file: String,
    pub(super) measured: Measured,
    pub(super) values: Values,
}

/// Of what they are results.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Measured {
    pub(super) finished_unix_s: u64,
    #[serde(default)]
    pub(super) source: Option<String>,
    pub(super) machine: Option<Machine>,
}

impl Measured {
    fn told(&self) -> String {
        let source = self.source.as_deref().unwrap_or("an unknown state of the workspace");
        let machine = self.machine.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("of {source}, on {machine}")
    }
}

/// Keeps the results of the newest state of the workspace on one machine, and says which others are left out: a table of several
/// would be of none.
pub(super) fn keep_one_state(found: &mut Vec<Found>) -> Vec<String> {
    let newest = found.iter().max_by_key(|one| one.measured.finished_unix_s);
    let Some(newest) = newest.map(|newest| newest.measured.clone()) else {
        return Vec::new();
    };
    let is_of_it = |one: &Found| (&one.measured.source, &one.measured.machine) == (&newest.source, &newest.machine);
    let others = found.iter().filter(|one| !is_of_it(one));
    let told = |one: &Found| {
        format!(
            "{} is left out: it is {}, and the newest {}",
            one.file,
            one.measured.told(),
            newest.told()
        )
    };
    let left_out = others.map(told).collect();
    found.retain(is_of_it);
    left_out
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
    let shown_too = found.iter().find(|one| one.command == SHOWN_TOO);
    let is_used = |one: &&Found| {
        let of_goals = goals.iter().filter_map(|goal| goal.newest(found));
        of_goals.chain(shown_too).any(|used| used.file == one.file)
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

#[cfg(test)]
mod tests {
    use super::super::goal::{Bound, goal};
    use super::*;

    fn found(command: &'static str, values: &str) -> Found {
        Found {
            command,
            file: format!("{command}-7.json"),
            measured: Measured::default(),
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
    fn results_of_another_state_than_the_newest_are_left_out_and_named() {
        let of = |stamp: u64, source: &str| Found {
            file: format!("smoke-{stamp}.json"),
            measured: Measured {
                finished_unix_s: stamp,
                source: Some(source.to_owned()),
                machine: None,
            },
            ..found("smoke", "ratio=1.5\n")
        };
        let mut all = vec![of(9, "abc"), of(8, "abc"), of(7, "def")];
        let left_out = keep_one_state(&mut all);
        assert_eq!(all.len(), 2);
        assert!(
            left_out[0].starts_with("smoke-7.json is left out: it is of def"),
            "{left_out:?}"
        );
        assert_eq!(left_out.len(), 1);
    }

    #[test]
    fn the_peak_is_among_the_numbers_although_no_goal_is_about_it() {
        let peak = [found(SHOWN_TOO, "peak_tps=4000\n")];
        assert_eq!(values(&[], &peak).to_string(), "peak_tps=4000\n");
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
}

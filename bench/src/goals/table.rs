//! How far the goals are reached.

use std::fmt::Write;

use super::goal::{Goal, number};
use crate::results::Values;

/// Results of a sub-command.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) command: &'static str,
    pub(super) file: String,
    pub(super) values: Values,
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

#[cfg(test)]
mod tests {
    use super::super::goal::{Bound, goal};
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
}

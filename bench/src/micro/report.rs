//! The results of `micro`: a table for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;

use serde::Serialize;

use super::cases::Case;
use super::timing::Timing;
use super::valgrind::Counts;
use crate::results::Circumstances;

/// Rows of 600 bytes on one core, of a release build.
const GOAL_ROWS_PER_S: u32 = 3_000_000;

/// One case.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    case: &'static str,
    #[serde(skip)]
    what: &'static str,
    records_per_s: f64,
    #[serde(flatten)]
    timing: Timing,
    /// Missing where there is no valgrind.
    counts: Option<Counts>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    /// The profile that this program was built with, which decides much.
    profile: &'static str,
    cases: Vec<Measured>,
}

impl Measured {
    pub(super) fn new(case: Case, timing: Timing, counts: Option<Counts>) -> Measured {
        Measured {
            case: case.name(),
            what: case.what(),
            records_per_s: timing.records_per_s(),
            timing,
            counts,
        }
    }
}

impl Report {
    pub(super) fn new(circumstances: Circumstances, cases: Vec<Measured>) -> Report {
        Report {
            circumstances,
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            cases,
        }
    }

    /// A Markdown table with a line for each case.
    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| part | records/s | ns a record | 95 % confidence | instructions | allocations | what |\n\
             | --- | --: | --: | --: | --: | --: | --- |\n",
        );
        for measured in &self.cases {
            line(&mut table, measured);
        }
        if self.cases.iter().any(|measured| measured.counts.is_none()) {
            table.push_str(
                "\nInstructions and allocations: not measured, without valgrind or because of --no-valgrind\n",
            );
        }
        let _ = write!(
            table,
            "\nGoal: decode_and_map ≥ {GOAL_ROWS_PER_S} records/s in a release build\n"
        );
        let _ = write!(
            table,
            "\nBuilt with the {} profile. Load average: {:.2} before, {:.2} after\n",
            self.profile, self.circumstances.load_before, self.circumstances.load_after
        );
        if self.profile == "dev" {
            table.push_str("The relay runs a release build, which is faster: `cargo run --release -p outbox-relay-bench -- micro`\n");
        }
        table
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let mut numbers = String::new();
        for Measured {
            case, timing, counts, ..
        } in &self.cases
        {
            let _ = match *case {
                "decode" | "decode_and_map" => {
                    writeln!(numbers, "micro_{case}_rows_per_s={:.0}", timing.records_per_s())
                }
                _ => writeln!(numbers, "micro_{case}_ns_per_record={:.1}", timing.median_ns),
            };
            if let Some(counts) = counts {
                let _ = writeln!(
                    numbers,
                    "micro_{case}_instructions_per_record={:.1}",
                    counts.instructions
                );
                let _ = writeln!(numbers, "micro_{case}_allocations_per_record={:.4}", counts.allocations);
            }
        }
        numbers
    }
}

fn line(table: &mut String, measured: &Measured) {
    let Timing {
        median_ns,
        low_ns,
        high_ns,
    } = measured.timing;
    let (instructions, allocations) = measured.counts.map_or_else(
        || ("-".to_owned(), "-".to_owned()),
        |counts| {
            (
                format!("{:.0}", counts.instructions),
                format!("{:.3}", counts.allocations),
            )
        },
    );
    let _ = writeln!(
        table,
        "| {} | {:.0} | {median_ns:.1} | {low_ns:.1} to {high_ns:.1} | {instructions} | {allocations} | {} |",
        measured.case, measured.records_per_s, measured.what,
    );
}

//! What was done, one JSON object a line; and the table that people read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::goals::{GOALS, progress};
use super::{CASES, PARTS, Round};
use crate::failure::{Failure, Outcome};

/// Where the table stands in the page.
const BEGIN: &str = "<!-- campaign: begin -->\n";
const END: &str = "<!-- campaign: end -->\n";

/// One round, or one run of something else that counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Of [`PARTS`] or [`CASES`], or `simulation`, `fuzz-TARGET`, `soak`.
    pub part: String,
    /// Day and time, UTC.
    pub date: String,
    /// The commit that was tested; `+` behind it when the work tree was changed.
    pub commit: String,
    /// What chose the moments.
    pub seed: u64,
    /// Major version of PostgreSQL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub postgres: String,
    /// Version of Kafka.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kafka: String,
    /// Kafka nodes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub brokers: usize,
    /// Faults, seeds, CPU seconds or minutes: what the part counts.
    pub count: u64,
    /// Committed rows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows: usize,
    /// Samples of the slot that were judged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub samples: usize,
    /// Rows that are in no topic.
    pub lost: usize,
    /// Records of nothing that was committed.
    pub phantom: usize,
    /// Records out of order, altered, or repeated under another position.
    pub reordered: usize,
    /// Confirmations of what could not be read, and repeats of what had been confirmed.
    pub early: usize,
    /// Rounds that did not come to their end: a relay that got stuck, panicked or ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: usize,
    /// Replays of the same records, beyond what the faults explain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub needless_runs: usize,
    /// Records that came again, for each fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<usize>,
    /// From the end of each outage to the next acknowledgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery_ms: Vec<u64>,
    /// Anything else, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Entry {
    /// An entry of now and of this work tree.
    ///
    /// # Errors
    /// git does not answer.
    pub fn begin(part: &str, seed: u64) -> Outcome<Entry> {
        Ok(Entry {
            part: part.to_owned(),
            date: said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
            commit: commit()?,
            seed,
            ..Entry::default()
        })
    }

    /// With what a round did.
    #[must_use]
    pub fn of_round(self, round: Round) -> Entry {
        let report = round.report;
        let duplicates = if report.repeats.is_empty() {
            vec![report.duplicates]
        } else {
            report.repeats
        };
        Entry {
            count: round.faults as u64,
            brokers: round.brokers,
            rows: report.rows,
            samples: report.samples,
            lost: report.lost.len(),
            phantom: report.phantom.len(),
            reordered: report.non_monotonic.len() + report.altered.len() + report.inconsistent.len(),
            early: report.unsafe_checkpoint.len() + report.needless_repeat.len(),
            needless_runs: report.runs.saturating_sub(report.runs_max),
            duplicates,
            recovery_ms: round.recovery_ms,
            ..self
        }
    }

    /// As a round that did not come to its end, and why.
    #[must_use]
    pub fn of_failure(self, failure: &Failure) -> Entry {
        let why = failure.to_string();
        Entry {
            failed: 1,
            note: why.lines().next().unwrap_or_default().to_owned(),
            ..self
        }
    }

    /// It came to its end, and nothing was lost, invented, reordered, confirmed early or repeated without a reason.
    pub fn is_clean(&self) -> bool {
        self.failed + self.lost + self.phantom + self.reordered + self.early + self.needless_runs == 0
    }
}

fn commit() -> Outcome<String> {
    let commit = said("git", &["rev-parse", "--short=10", "HEAD"])?;
    let changed = said(
        "git",
        &["status", "--porcelain", "--", "relay", "decoder", "migrations"],
    )?;
    Ok(if changed.is_empty() {
        commit
    } else {
        format!("{commit}+")
    })
}

fn said(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("{program} {arguments:?}: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The file of all that was done.
#[derive(Debug)]
pub struct Results {
    file: PathBuf,
}

impl Results {
    /// The one of this repository.
    pub fn of_workspace() -> Results {
        Results {
            file: Path::new(env!("CARGO_MANIFEST_DIR")).join("campaign.jsonl"),
        }
    }

    /// Everything that was done so far.
    ///
    /// # Errors
    /// A line that is none.
    pub fn read(&self) -> Outcome<Vec<Entry>> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        let entries = text.lines().map(serde_json::from_str);
        Ok(entries.collect::<Result<Vec<Entry>, _>>()?)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, entry: &Entry) -> Outcome {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file)?;
        Ok(writeln!(file, "{}", serde_json::to_string(entry)?)?)
    }
}

/// The page with the table made anew between its marks.
///
/// # Errors
/// The marks are not there.
pub fn page(old: &str, entries: &[Entry]) -> Outcome<String> {
    let missing = || Failure::new("the page has lost the marks of its table");
    let (before, rest) = old.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", table(entries)))
}

fn table(entries: &[Entry]) -> String {
    let mut text =
        "| part | done | goal | rows | failed | lost | phantom | reordered | early | duplicates a fault: median / p99 / max | \
                    recovery ms: median / p99 / max |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for goal in GOALS {
        let of_it: Vec<&Entry> = entries.iter().filter(|entry| entry.part == goal.part).collect();
        let sum = |number: fn(&Entry) -> usize| of_it.iter().map(|entry| number(entry)).sum::<usize>();
        let duplicates = of_it
            .iter()
            .flat_map(|entry| entry.duplicates.iter().map(|&count| count as u64));
        let recovery = of_it.iter().flat_map(|entry| entry.recovery_ms.iter().copied());
        let _ = writeln!(
            text,
            "| `{}`: {}{} | {} {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            goal.part,
            meaning(goal.part),
            versions(&of_it),
            progress(goal, entries),
            goal.unit,
            goal.count,
            sum(|entry| entry.rows),
            sum(|entry| entry.failed),
            sum(|entry| entry.lost),
            sum(|entry| entry.phantom),
            sum(|entry| entry.reordered),
            sum(|entry| entry.early),
            distribution(duplicates.collect()),
            distribution(recovery.collect()),
        );
    }
    text + &notes(entries)
}

/// The versions of PostgreSQL, where there was more than one.
fn versions(entries: &[&Entry]) -> String {
    let versions: BTreeSet<&str> = entries.iter().map(|entry| entry.postgres.as_str()).collect();
    if versions.len() < 2 {
        return String::new();
    }
    format!(" (PostgreSQL {})", versions.into_iter().collect::<Vec<_>>().join(", "))
}

/// What else was measured of the large cases and of the soak, the last time.
fn notes(entries: &[Entry]) -> String {
    let of_size = GOALS
        .iter()
        .filter(|goal| goal.part.starts_with("big-") || goal.part == "soak");
    let last = of_size.filter_map(|goal| entries.iter().rfind(|entry| entry.part == goal.part));
    let lines = last.map(|entry| format!("\n* `{}`: {}", entry.part, entry.note));
    lines.collect::<String>() + "\n"
}

fn meaning(part: &str) -> &'static str {
    let of_round = PARTS.iter().find(|known| known.name == part).map(|known| known.meaning);
    let of_case = || CASES.iter().find(|known| known.name == part).map(|known| known.meaning);
    of_round.or_else(of_case).unwrap_or(match part {
        "simulation" => "the pure core against models of both servers",
        "soak" => "a steady load, with memory, descriptors and threads sampled",
        _ => "libFuzzer, with coverage and overflow checks",
    })
}

fn distribution(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    let at = |share: usize| numbers.get((numbers.len().saturating_sub(1)) * share / 100);
    match (at(50), at(99), numbers.last()) {
        (Some(median), Some(p99), Some(max)) => format!("{median} / {p99} / {max}"),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_the_one_before_and_says_what_was_done() {
        let entry = Entry {
            part: "relay-kill".to_owned(),
            count: 25,
            lost: 1,
            duplicates: vec![5, 1, 9],
            ..Entry::default()
        };
        let old = format!("a\n{BEGIN}old\n{END}b\n");
        let new = page(&old, &[entry.clone(), entry]).expect("the marks are there");
        assert!(
            new.starts_with("a\n") && new.ends_with("b\n") && !new.contains("old"),
            "{new}"
        );
        assert!(
            new.contains("| 50 faults | 300 | 0 | 0 | 2 | 0 | 0 | 0 | 5 / 9 / 9 |"),
            "{new}"
        );
        assert!(page("no marks", &[]).is_err());
    }
}

//! What the verifier found.

use std::fmt;

use crate::failure::{Failure, Outcome};

const SHOWN: usize = 5;

/// Counts, and every violation by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows committed.
    pub rows: usize,
    /// Records read.
    pub records: usize,
    /// Records whose id came before.
    pub duplicates: usize,
    /// Duplicates of each fault.
    pub repeats: Vec<usize>,
    /// The most runs of any partition; 1 without a replay.
    pub runs: usize,
    /// How many runs the faults explain.
    pub runs_max: usize,
    /// How many different samples were judged.
    pub samples: usize,
    /// Committed, and not in a topic.
    pub lost: Vec<String>,
    /// In a topic, and never committed.
    pub phantom: Vec<String>,
    /// Other than it was written.
    pub altered: Vec<String>,
    /// Repeated with another position.
    pub inconsistent: Vec<String>,
    /// Out of order.
    pub non_monotonic: Vec<String>,
    /// Confirmed before it could be read.
    pub unsafe_checkpoint: Vec<String>,
    /// Repeated although it was confirmed.
    pub needless_repeat: Vec<String>,
}

impl Report {
    /// Nothing is wrong, and no partition was replayed more often than there were faults.
    ///
    /// # Errors
    /// The whole report when something is.
    #[track_caller]
    pub fn accept(&self) -> Outcome {
        let runs_max = self.runs_max;
        let is_clean = self.violations().all(|(_, found)| found.is_empty());
        if is_clean && self.runs <= runs_max {
            return Ok(());
        }
        Err(Failure::new(format!(
            "violations; at most {runs_max} runs are allowed\n{self}"
        )))
    }

    pub(super) fn violations(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        [
            ("lost", &self.lost),
            ("phantom", &self.phantom),
            ("altered", &self.altered),
            ("inconsistent", &self.inconsistent),
            ("non-monotonic", &self.non_monotonic),
            ("unsafe checkpoint", &self.unsafe_checkpoint),
            ("needless repeat", &self.needless_repeat),
        ]
        .into_iter()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            rows,
            records,
            duplicates,
            runs,
            samples,
            ..
        } = self;
        write!(
            f,
            "rows={rows} records={records} duplicates={duplicates} runs={runs} samples={samples}"
        )?;
        if !self.repeats.is_empty() {
            write!(f, " repeats={:?}", self.repeats)?;
        }
        for (name, found) in self.violations().filter(|(_, found)| !found.is_empty()) {
            write!(f, "\n  {name}: {}", found.len())?;
            for violation in found.iter().take(SHOWN) {
                write!(f, "\n    {violation}")?;
            }
        }
        Ok(())
    }
}

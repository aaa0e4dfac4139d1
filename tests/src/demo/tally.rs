//! Who was inserted, who was rolled back, who arrived: the account that the summary is drawn from.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Every event by its id.
#[derive(Debug, Default)]
pub(super) struct Tally {
    committed: HashMap<String, Instant>,
    /// Rows of others than the demo's own writer, found in the table.
    others: HashSet<String>,
    rolled_back: HashSet<String>,
    arrived: HashMap<String, u64>,
    latencies: Vec<Duration>,
}

impl Tally {
    /// A row whose COMMIT was sent at this time.
    pub(super) fn committed(&mut self, id: &str, at: Instant) {
        self.committed.insert(id.to_owned(), at);
    }

    pub(super) fn rolled_back(&mut self, id: &str) {
        self.rolled_back.insert(id.to_owned());
    }

    /// A record; gives the time since COMMIT if the demo's writer sent that.
    pub(super) fn arrived(&mut self, id: &str, at: Instant) -> Option<Duration> {
        let times = self.arrived.entry(id.to_owned()).or_default();
        *times += 1;
        let latency = at.saturating_duration_since(*self.committed.get(id)?);
        if *times == 1 {
            self.latencies.push(latency);
        }
        Some(latency)
    }

    /// The ids in the table, which is the truth about what had to arrive.
    pub(super) fn reconcile(&mut self, table: impl IntoIterator<Item = String>) {
        let others = table.into_iter().filter(|id| !self.committed.contains_key(id));
        self.others = others.collect();
    }

    pub(super) fn figures(&self) -> Figures {
        // Before the table was asked, a row of somebody else is known by its record only.
        let unasked = |id: &&String| !self.committed.contains_key(*id) && !self.rolled_back.contains(*id);
        let others: HashSet<&String> = self.others.iter().chain(self.arrived.keys().filter(unasked)).collect();
        let awaited = self.committed.keys().chain(others.iter().copied());
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        Figures {
            inserted: self.committed.len() + others.len(),
            arrived: self.arrived.len(),
            missing: awaited.filter(|id| !self.arrived.contains_key(*id)).count(),
            duplicates: self.arrived.values().map(|times| times - 1).sum(),
            rolled_back: self.rolled_back.len(),
            phantoms: self
                .rolled_back
                .iter()
                .filter(|id| self.arrived.contains_key(*id))
                .count(),
            p50: percentile(&sorted, 50),
            p99: percentile(&sorted, 99),
        }
    }
}

/// What the account comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) inserted: usize,
    pub(super) arrived: usize,
    pub(super) missing: usize,
    pub(super) duplicates: u64,
    pub(super) rolled_back: usize,
    /// Records of rolled-back rows.
    pub(super) phantoms: usize,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
}

impl Figures {
    /// Everything arrived and nothing that should not. A duplicate is allowed by "at least once".
    pub(super) fn is_good(&self) -> bool {
        self.missing == 0 && self.phantoms == 0
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            inserted,
            arrived,
            missing,
            duplicates,
            ..
        } = self;
        write!(
            out,
            "inserted {inserted}, arrived {arrived}, missing {missing}, duplicates {duplicates}"
        )
    }
}

/// The smallest value that at least this share of all does not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_table_and_did_not_arrive_is_missing() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        tally.committed("a", now);
        tally.committed("b", now);
        tally.arrived("a", now);
        tally.arrived("a", now);
        tally.reconcile(["a", "b", "typed in psql"].map(str::to_owned));
        let figures = tally.figures();
        assert_eq!(figures.to_string(), "inserted 3, arrived 1, missing 2, duplicates 1");
        assert!(!figures.is_good());
    }

    #[test]
    fn a_record_of_a_rolled_back_row_is_never_good() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        tally.rolled_back("a");
        assert!(tally.figures().is_good());
        assert_eq!(tally.arrived("a", now), None);
        assert_eq!(tally.figures().phantoms, 1);
        assert!(!tally.figures().is_good());
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&sorted, 99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&sorted[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }
}

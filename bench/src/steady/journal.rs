//! What was written against what arrived: that each row came once, how long it took, and how punctual the writer was.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::latency::{Histogram, Latency, Recorder};
use super::load::Load;
use super::reader::Seen;
use super::writer::{GRACE, Sent};
use crate::failure::Failure;

/// A transaction that begins later than this after its intended time is late: the system's own timers are within it.
const LATE: Duration = Duration::from_millis(1);

/// Everything that happened in one measurement.
#[derive(Debug)]
pub(super) struct Journal {
    load: Load,
    /// When transaction 0 was meant to be sent.
    origin: Instant,
    /// By transaction; `None` was never begun.
    sent: Vec<Option<Sent>>,
    seen: Vec<Seen>,
}

/// How well the writer kept to the intended times of the window.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Punctuality {
    /// Rows committed, over the time until the last of their commits had returned.
    pub(crate) achieved_events_per_s: f64,
    /// Share of the transactions that began more than 1 ms late, or never.
    pub(crate) late_share: f64,
    /// The longest time from an intended time to the beginning.
    pub(crate) max_lag_ms: f64,
    /// Transactions that were still waiting for a connection a second after the window.
    pub(crate) never_begun: usize,
}

/// Latencies of the window, counted for each row unless something else is said.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latencies {
    /// From just before the insert was sent until its commit had returned; for each transaction.
    pub(crate) insert_to_commit: Latency,
    /// From just before the insert was sent until a consumer has the record.
    pub(crate) insert_to_consumer: Latency,
    /// From when it should have been sent.
    pub(crate) intended_to_consumer: Latency,
    /// From when the commit had returned; none if the record was there first.
    pub(crate) commit_to_consumer: Latency,
}

/// All of the latencies, each with its own.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Histograms {
    pub(crate) insert_to_commit: Histogram,
    pub(crate) insert_to_consumer: Histogram,
    pub(crate) intended_to_consumer: Histogram,
    pub(crate) commit_to_consumer: Histogram,
}

impl Journal {
    pub(super) fn new(load: Load, origin: Instant, sent: Vec<Sent>, seen: Vec<Seen>) -> Journal {
        let mut by_transaction = vec![None; load.transactions() as usize];
        for transaction in sent {
            if let Some(place) = by_transaction.get_mut(transaction.transaction as usize) {
                *place = Some(transaction);
            }
        }
        Journal {
            load,
            origin,
            sent: by_transaction,
            seen,
        }
    }

    /// An error unless each row that was committed arrived exactly once, and nothing else did.
    pub(super) fn expect_each_row_once(&self, carrier: &str) -> Result<(), Failure> {
        let mut times = vec![0_u32; self.sent.len() * self.load.rows_per_transaction as usize];
        let mut foreign = 0;
        for seen in &self.seen {
            match seen.row.filter(|row| self.sent_with(*row).is_some()) {
                Some(row) => times[row as usize - 1] += 1,
                None => foreign += 1,
            }
        }
        let expected = self.sent.iter().flatten().count() * self.load.rows_per_transaction as usize;
        let arrived = times.iter().filter(|times| **times > 0).count();
        let repeated = times.iter().filter(|times| **times > 1).count();
        if (arrived, repeated, foreign) == (expected, 0, 0) {
            return Ok(());
        }
        Err(Failure::Records {
            carrier: carrier.to_owned(),
            expected,
            missing: expected - arrived,
            repeated,
            foreign,
        })
    }

    fn sent_with(&self, row: u32) -> Option<Sent> {
        let transaction = self.load.transaction_of(row)?;
        *self.sent.get(transaction as usize)?
    }

    /// Rows that were written for the window.
    pub(super) fn events(&self) -> usize {
        self.sent_in_window().count() * self.load.rows_per_transaction as usize
    }

    fn sent_in_window(&self) -> impl Iterator<Item = &Sent> {
        let sent = self.sent.iter().flatten();
        sent.filter(|sent| self.load.counts(sent.transaction))
    }

    fn intended(&self, transaction: u32) -> Instant {
        self.origin + self.load.intended(transaction)
    }

    pub(super) fn latencies(&self) -> (Latencies, Histograms) {
        let [mut commit, mut insert, mut intended, mut from_commit] = [(); 4].map(|()| Recorder::new());
        for sent in self.sent_in_window() {
            commit.record(sent.at, sent.committed_at);
        }
        for seen in &self.seen {
            let sent = seen.row.and_then(|row| self.sent_with(row));
            if let Some(sent) = sent.filter(|sent| self.load.counts(sent.transaction)) {
                insert.record(sent.at, seen.at);
                intended.record(self.intended(sent.transaction), seen.at);
                from_commit.record(sent.committed_at, seen.at);
            }
        }
        self.record_never_begun(&mut intended);
        let latencies = Latencies {
            insert_to_commit: commit.latency(),
            insert_to_consumer: insert.latency(),
            intended_to_consumer: intended.latency(),
            commit_to_consumer: from_commit.latency(),
        };
        let histograms = Histograms {
            insert_to_commit: commit.histogram(),
            insert_to_consumer: insert.histogram(),
            intended_to_consumer: intended.histogram(),
            commit_to_consumer: from_commit.histogram(),
        };
        (latencies, histograms)
    }

    /// What nobody came to begin is as late as it was when it was given up, at the least: left out, it would make the rest look
    /// better.
    fn record_never_begun(&self, intended: &mut Recorder) {
        let given_up_at = self.origin + self.load.warm_up() + self.load.window() + GRACE;
        for transaction in (0..)
            .zip(&self.sent)
            .filter_map(|(number, sent)| sent.is_none().then_some(number))
        {
            if self.load.counts(transaction) {
                for _ in 0..self.load.rows_per_transaction {
                    intended.record(self.intended(transaction), given_up_at);
                }
            }
        }
    }

    pub(super) fn punctuality(&self) -> Punctuality {
        let lag = |sent: &Sent| sent.at.saturating_duration_since(self.intended(sent.transaction));
        let meant = (0..self.load.transactions())
            .filter(|transaction| self.load.counts(*transaction))
            .count();
        let never_begun = meant - self.sent_in_window().count();
        let late = self.sent_in_window().filter(|sent| lag(sent) > LATE).count() + never_begun;
        let max_lag = self.sent_in_window().map(lag).max().unwrap_or_default();
        Punctuality {
            achieved_events_per_s: self.achieved_events_per_s(),
            late_share: count(late) / count(meant).max(1.0),
            max_lag_ms: max_lag.as_secs_f64() * 1e3,
            never_begun,
        }
    }

    fn achieved_events_per_s(&self) -> f64 {
        let begin = self.origin + self.load.warm_up();
        let last = self.sent_in_window().map(|sent| sent.committed_at).max();
        let took = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(begin));
        count(self.events()) / took.max(self.load.window()).as_secs_f64()
    }
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::LOAD;
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Everything begins 2 ms late in the last second, takes 3 ms to commit, and is there 1 ms later.
    fn journal(edit: impl Fn(&mut Vec<Sent>, &mut Vec<Seen>)) -> Journal {
        let origin = Instant::now();
        let mut sent: Vec<Sent> = (0..LOAD.transactions())
            .map(|transaction| {
                let lag = MILLISECOND * if transaction >= 200 { 2 } else { 0 };
                let at = origin + LOAD.intended(transaction) + lag;
                let committed_at = at + 3 * MILLISECOND;
                Sent {
                    transaction,
                    at,
                    committed_at,
                }
            })
            .collect();
        let mut seen = Vec::new();
        for sent in &sent {
            let (first, last) = LOAD.rows_of(sent.transaction);
            let at = sent.committed_at + MILLISECOND;
            seen.extend((first..=last).map(|row| Seen { row: Some(row), at }));
        }
        edit(&mut sent, &mut seen);
        Journal::new(LOAD, origin, sent, seen)
    }

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 0.01, "{found} instead of {expected}");
    }

    #[test]
    fn what_the_writer_was_late_counts_as_latency_from_the_intended_time_only() {
        let latencies = journal(|_, _| {}).latencies().0;
        near(latencies.intended_to_consumer.p99_ms, 6.0);
        near(latencies.insert_to_consumer.p99_ms, 4.0);
        near(latencies.commit_to_consumer.p99_ms, 1.0);
        near(latencies.insert_to_commit.p99_ms, 3.0);
    }

    #[test]
    fn the_writer_says_how_late_it_was() {
        let punctuality = journal(|_, _| {}).punctuality();
        near(punctuality.late_share, 0.5);
        near(punctuality.max_lag_ms, 2.0);
        near(punctuality.achieved_events_per_s, 1000.0);
        assert_eq!(punctuality.never_begun, 0);
    }

    #[test]
    fn what_was_never_begun_is_late_and_not_achieved() {
        let journal = journal(|sent, seen| {
            sent.truncate(200);
            seen.truncate(2000);
        });
        let punctuality = journal.punctuality();
        assert_eq!(punctuality.never_begun, 100);
        near(punctuality.late_share, 0.5);
        near(punctuality.achieved_events_per_s, 500.0);
        journal.expect_each_row_once("it").expect("what was begun arrived");
        let latencies = journal.latencies().0;
        assert!(latencies.intended_to_consumer.p50_ms < 100.0, "{latencies:?}");
        assert!(
            latencies.intended_to_consumer.p90_ms > 1_000.0,
            "as late as it was given up: {latencies:?}"
        );
    }

    #[test]
    fn each_row_has_to_arrive_once() {
        journal(|_, _| {}).expect_each_row_once("it").expect("all is well");
        let wrong = journal(|_, seen| {
            seen[0].row = None;
            seen[1].row = Some(40_000);
            seen[2].row = seen[3].row;
        });
        let failure = wrong.expect_each_row_once("it").expect_err("three rows are missing");
        let counts =
            "of 3000 rows that were committed 3 are not in the topic and 1 are there more than once; 2 records";
        assert!(failure.to_string().starts_with(counts), "{failure}");
    }
}

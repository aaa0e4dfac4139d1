//! The relay's own histogram, from the commit in `PostgreSQL` to the acknowledgement by the brokers.
//!
//! It has buckets, so percentiles are interpolated as Prometheus does it: evenly inside a bucket. The commit's time is the one
//! that `PostgreSQL` writes into the commit record, just before it writes the record to disk.

use outbox_relay_tests::admin::{self, Figures};

use super::latency::Latency;
use crate::failure::Failure;

const BUCKET: &str = "outbox_relay_commit_to_ack_seconds_bucket{le=\"";
const OK: u16 = 200;

/// The histogram at one moment: how many took at most so many seconds, in ascending order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Asks a relay.
    pub(super) fn ask(port: u16) -> Result<Buckets, Failure> {
        let failed = |reason| Failure::Metrics { port, reason };
        let (status, text) = admin::ask(port, "/metrics").map_err(|error| failed(error.to_string()))?;
        if status != OK {
            return Err(failed(format!("status {status}")));
        }
        let buckets = Buckets::read(Figures::parse(&text));
        if buckets.0.is_empty() {
            return Err(failed(format!("{BUCKET}... is missing")));
        }
        Ok(buckets)
    }

    fn read(figures: Figures) -> Buckets {
        let mut buckets: Vec<(f64, f64)> = figures
            .counters()
            .filter_map(|(name, count)| {
                let bound = name.strip_prefix(BUCKET)?.strip_suffix("\"}")?;
                Some((bound.parse().ok()?, count))
            })
            .collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        Buckets(buckets)
    }

    /// What came since an earlier look at the same relay.
    pub(super) fn since(&self, earlier: &Buckets) -> Buckets {
        let both = self.0.iter().zip(&earlier.0);
        Buckets(both.map(|((bound, now), (_, before))| (*bound, now - before)).collect())
    }

    /// `None` when nothing came. The maximum is the upper bound of the last bucket that holds anything.
    pub(super) fn latency(&self) -> Option<Latency> {
        let all = self.0.last().map(|(_, count)| *count).filter(|all| *all > 0.0)?;
        Some(Latency::of(|quantile| 1e3 * self.seconds_at(quantile * all)))
    }

    /// Where this many of all are reached.
    fn seconds_at(&self, rank: f64) -> f64 {
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                // Beyond the last finite bound nothing is known.
                let width = if bound.is_finite() { bound - low } else { 0.0 };
                return low + width * (rank - below) / (count - below).max(f64::MIN_POSITIVE);
            }
            (low, below) = (*bound, *count);
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: [u32; 4]) -> Buckets {
        let bounds = ["0.001", "0.002", "0.004", "+Inf"];
        let lines = bounds
            .iter()
            .zip(counts)
            .map(|(bound, count)| format!("outbox_relay_commit_to_ack_seconds_bucket{{le=\"{bound}\"}} {count}\n"));
        let text: String = lines.chain(["outbox_relay_events_total 7\n".to_owned()]).collect();
        Buckets::read(Figures::parse(&text))
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn inside_a_bucket_everything_is_spread_evenly() {
        let latency = buckets([0, 50, 100, 100]).latency().expect("there is something");
        near(latency.p50_ms, 2.0);
        near(latency.p90_ms, 3.6);
        near(latency.max_ms, 4.0);
    }

    #[test]
    fn what_was_there_before_is_taken_off() {
        let since = buckets([10, 15, 20, 20]).since(&buckets([10, 10, 10, 10]));
        assert_eq!(since, buckets([0, 5, 10, 10]));
        assert!(since.since(&since).latency().is_none());
    }

    #[test]
    fn beyond_the_last_bound_it_is_the_bound() {
        near(
            buckets([0, 0, 0, 10]).latency().expect("there is something").p50_ms,
            4.0,
        );
    }
}

//! Latencies and their percentiles.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;

/// Longer ones count as this.
const MAX_US: u64 = 3_600_000_000;
/// Percentiles are exact to a thousandth.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What is said of a latency.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_9_ms: f64,
    pub(crate) max_ms: f64,
}

impl Latency {
    #[cfg(test)]
    pub(crate) fn example(p50_ms: f64, p99_ms: f64) -> Latency {
        Latency {
            p50_ms,
            p99_ms,
            ..Latency::default()
        }
    }

    /// Asks for each quantile; the maximum is that of 1.
    pub(super) fn of(milliseconds_at: impl Fn(f64) -> f64) -> Latency {
        Latency {
            p50_ms: milliseconds_at(0.5),
            p90_ms: milliseconds_at(0.9),
            p99_ms: milliseconds_at(0.99),
            p99_9_ms: milliseconds_at(0.999),
            max_ms: milliseconds_at(1.0),
        }
    }
}

/// Every latency that was recorded, as JSON: pairs of microseconds, exact to a thousandth, and how many there were, from the
/// shortest on. Histograms of several runs are added up pair by pair; in one line, since there are thousands of pairs.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Histogram(Box<RawValue>);

impl Histogram {
    fn of(pairs: impl Iterator<Item = (u64, u64)>) -> Histogram {
        let pairs: Vec<(u64, u64)> = pairs.collect();
        Histogram(serde_json::value::to_raw_value(&pairs).expect("numbers have a form in JSON"))
    }

    #[cfg(test)]
    pub(crate) fn example() -> Histogram {
        Histogram::of([(1_000, 1)].into_iter())
    }
}

/// Collects times between two events.
#[derive(Debug)]
pub(super) struct Recorder(hdrhistogram::Histogram<u64>);

impl Recorder {
    pub(super) fn new() -> Recorder {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, MAX_US, SIGNIFICANT_DIGITS);
        Recorder(histogram.expect("the bounds are constants and valid"))
    }

    /// An end that came before its beginning was noted counts as no time at all.
    pub(super) fn record(&mut self, from: Instant, to: Instant) {
        let microseconds = to.saturating_duration_since(from).as_micros();
        self.0.saturating_record(u64::try_from(microseconds).unwrap_or(MAX_US));
    }

    pub(super) fn histogram(&self) -> Histogram {
        let buckets = self.0.iter_recorded();
        Histogram::of(buckets.map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value())))
    }

    pub(super) fn latency(&self) -> Latency {
        Latency::of(|quantile| {
            let microseconds = self.0.value_at_quantile(quantile);
            Duration::from_micros(microseconds).as_secs_f64() * 1e3
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact_to_a_thousandth() {
        let (mut recorder, origin) = (Recorder::new(), Instant::now());
        for milliseconds in 1..=1000 {
            recorder.record(origin, origin + Duration::from_millis(milliseconds));
        }
        let latency = recorder.latency();
        for (found, expected) in [
            (latency.p50_ms, 500.0),
            (latency.p99_ms, 990.0),
            (latency.max_ms, 1000.0),
        ] {
            assert!((found / expected - 1.0).abs() < 0.001, "{found} instead of {expected}");
        }
    }

    #[test]
    fn the_histogram_holds_each_latency_from_the_shortest_on() {
        let (mut recorder, origin) = (Recorder::new(), Instant::now());
        for (milliseconds, times) in [(7, 3), (2, 1), (40, 2)] {
            for _ in 0..times {
                recorder.record(origin, origin + Duration::from_millis(milliseconds));
            }
        }
        let json = serde_json::to_string_pretty(&recorder.histogram()).expect("numbers");
        let pairs: Vec<(f64, u64)> = serde_json::from_str(&json).expect("pairs");
        let counts: Vec<u64> = pairs.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 3, 2]);
        for ((found, _), expected) in pairs.iter().zip([2_000.0, 7_000.0, 40_000.0]) {
            assert!((found / expected - 1.0).abs() < 0.001, "{json}");
        }
        assert!(!json.contains('\n'), "{json}");
    }

    #[test]
    fn what_was_there_before_it_was_expected_took_no_time() {
        let (mut recorder, origin) = (Recorder::new(), Instant::now());
        recorder.record(origin + Duration::from_secs(1), origin);
        assert!(recorder.latency().max_ms < 0.01);
    }
}

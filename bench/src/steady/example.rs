//! A measurement that nobody has made, for tests.

use super::journal::{Histograms, Latencies, Punctuality};
use super::latency::{Histogram, Latency};
use super::load::Load;
use super::measure::Steady;
use super::snapshot::CpuPercent;

impl Steady {
    /// A punctual writer and one latency for all, at a rate.
    pub(crate) fn example(rate_events_per_s: u32, latency: Latency) -> Steady {
        let load = Load::of_single_rows(rate_events_per_s, 600, 1, 2);
        Steady {
            carrier: "the relay".to_owned(),
            load,
            rest_s: Some(1.0),
            events: 1,
            writer: Punctuality {
                achieved_events_per_s: f64::from(rate_events_per_s),
                late_share: 0.0,
                max_lag_ms: 0.0,
                never_begun: 0,
            },
            latencies: Latencies {
                insert_to_commit: latency,
                insert_to_consumer: latency,
                intended_to_consumer: latency,
                commit_to_consumer: latency,
            },
            histograms_us: Histograms {
                insert_to_commit: Histogram::example(),
                insert_to_consumer: Histogram::example(),
                intended_to_consumer: Histogram::example(),
                commit_to_consumer: Histogram::example(),
            },
            commit_to_ack: Some(latency),
            cpu_percent: CpuPercent {
                carrier: 10.0 * latency.p50_ms,
                ..CpuPercent::default()
            },
            waited_for_a_core_percent: None,
            peak_rss_mib: 12.0,
            backlog_growth_events: 0.0,
            load_average: 0.0,
        }
    }
}

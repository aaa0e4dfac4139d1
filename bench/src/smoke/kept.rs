//! Results that were kept: what events cost, for who sizes something.

use super::report::Report;
use crate::results::Circumstances;

/// Results of an earlier run.
#[derive(Debug)]
pub(crate) struct Kept(Report);

impl Kept {
    pub(crate) fn parse(text: &str) -> Result<Kept, serde_json::Error> {
        Ok(Kept(serde_json::from_str(text)?))
    }

    #[cfg(test)]
    pub(crate) fn example() -> Kept {
        Kept::parse(tests::EXAMPLE).expect("results")
    }

    pub(crate) fn circumstances(&self) -> &Circumstances {
        &self.0.circumstances
    }

    /// Of the backlog that was drained.
    pub(crate) fn rows(&self) -> u32 {
        self.0.backlog.first().map_or(0, |pair| pair.relay.rows)
    }

    pub(crate) fn drain_events_per_s(&self) -> f64 {
        self.0.numbers.drain_events_per_s
    }

    pub(crate) fn relay_cpu_us_per_event(&self) -> f64 {
        self.0.numbers.drain_cpu_us_per_event
    }

    pub(crate) fn walsender_cpu_us_per_event(&self) -> f64 {
        self.0.walsender_cpu_us_per_event()
    }

    pub(crate) fn rss_mib(&self) -> f64 {
        self.0.numbers.rss_mib
    }

    /// `None` in results from before it was measured.
    pub(crate) fn wal_bytes_per_event(&self) -> Option<f64> {
        self.0.wal_bytes_per_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const EXAMPLE: &str = r#"{
        "finished_unix_s": 1795835565,
        "machine": {"processor": "a processor", "cores": 2, "kernel": "6"},
        "relay_overrides": ["kafka.properties.linger.ms=1"], "load_before": 0.5, "load_after": 0.5,
        "backlog": [{
            "recvlogical": {"rows": 500000, "attach_s": 0.1, "first_record_s": null, "drain_s": 3.5, "load": 0.5,
                "client": {"cpu_us_per_row": 3.1, "peak_rss_mib": 10.4},
                "walsender": {"cpu_us_per_row": 5.0, "peak_rss_mib": 19.1},
                "broker": {"cpu_us_per_row": 0.2, "peak_rss_mib": 272.7}},
            "relay": {"rows": 500000, "attach_s": 0.1, "first_record_s": 0.1, "drain_s": 3.2, "load": 0.5,
                "client": {"cpu_us_per_row": 5.18, "peak_rss_mib": 62.8},
                "walsender": {"cpu_us_per_row": 3.02, "peak_rss_mib": 17.9},
                "broker": {"cpu_us_per_row": 3.76, "peak_rss_mib": 273.1}},
            "relay_over_tls": null}],
        "wal_bytes_per_event": 694.0,
        "large_transaction": {"rows": 1000000, "attach_s": 0.1, "first_record_s": 0.1, "drain_s": 3.2, "load": 0.5,
            "client": {"cpu_us_per_row": 3.2, "peak_rss_mib": 66.0},
            "walsender": {"cpu_us_per_row": 3.0, "peak_rss_mib": 17.9},
            "broker": {"cpu_us_per_row": 3.7, "peak_rss_mib": 273.1}},
        "starts_ms": [90.0],
        "numbers": {"drain_events_per_s": 156250.0, "recvlogical_events_per_s": 142857.0, "drain_ratio": 1.09,
            "drain_cpu_us_per_event": 5.18, "rss_mib": 66.0, "start_ms": 90.0, "tls_ratio": null}
    }"#;

    #[test]
    fn what_events_cost_is_read_from_kept_results() {
        let kept = Kept::example();
        assert!((kept.walsender_cpu_us_per_event() - 3.02).abs() < 1e-9);
        assert!((kept.drain_events_per_s() - 156_250.0).abs() < 1e-9);
        assert_eq!(kept.wal_bytes_per_event(), Some(694.0));
    }

    #[test]
    fn results_from_before_wal_was_measured_can_be_read() {
        let earlier = EXAMPLE.replace("\"wal_bytes_per_event\": 694.0,", "");
        assert_eq!(Kept::parse(&earlier).expect("results").wal_bytes_per_event(), None);
    }
}

//! Results that were kept: what events cost, for who sizes something.

use std::fs;
use std::path::Path;

use super::report::Report;
use crate::failure::Failure;

/// Results of an earlier run.
#[derive(Debug)]
pub(crate) struct Kept(Report);

impl Kept {
    pub(crate) fn read(file: &Path) -> Result<Kept, Failure> {
        let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
        let report = serde_json::from_str(&text).map_err(|error| Failure::content(file, &error))?;
        Ok(Kept(report))
    }

    pub(crate) fn finished_unix_s(&self) -> u64 {
        self.0.finished_unix_s
    }

    pub(crate) fn machine(&self) -> String {
        self.0.machine.to_string()
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

//! Of which run a plot is, in small print.

use serde::Deserialize;
use time::OffsetDateTime;

use crate::machine::Machine;

/// What of a run's circumstances is said; earlier results lack some of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Circumstances {
    #[serde(default)]
    finished_unix_s: i64,
    machine: Option<Machine>,
    #[serde(default)]
    relay_overrides: Vec<String>,
    #[serde(default)]
    debezium_overrides: Vec<String>,
    load_before: Option<f64>,
    load_after: Option<f64>,
}

impl Circumstances {
    /// The processor and its cores.
    pub(super) fn machine(&self) -> String {
        self.machine
            .as_ref()
            .map_or_else(|| "unknown machine".to_owned(), ToString::to_string)
    }

    /// File, date, machine, load, and what was set otherwise than it is delivered.
    pub(super) fn small_print(&self, file: &str) -> String {
        let mut parts = vec![file.to_owned()];
        let finished = (self.finished_unix_s > 0).then(|| OffsetDateTime::from_unix_timestamp(self.finished_unix_s));
        parts.extend(finished.and_then(Result::ok).map(|at| at.date().to_string()));
        parts.push(self.machine());
        if let (Some(before), Some(after)) = (self.load_before, self.load_after) {
            parts.push(format!("load average {before:.1} before, {after:.1} after"));
        }
        for (of, settings) in [("relay", &self.relay_overrides), ("Debezium", &self.debezium_overrides)] {
            if !settings.is_empty() {
                parts.push(format!("{of} with {}", settings.join(", ")));
            }
        }
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_print_tells_the_run_apart_from_others() {
        let circumstances: Circumstances = serde_json::from_str(
            r#"{"finished_unix_s": 1795846258, "machine": {"processor": "a processor", "cores": 2, "kernel": "6"},
                "relay_overrides": ["kafka.properties.linger.ms=1"], "load_before": 0.5, "load_after": 1.25}"#,
        )
        .expect("circumstances");
        assert_eq!(
            circumstances.small_print("smoke-1795846258.json"),
            "smoke-1795846258.json · 2026-11-28 · a processor, 2 cores · load average 0.5 before, 1.2 after · \
             relay with kafka.properties.linger.ms=1"
        );
    }

    #[test]
    fn what_results_lack_is_left_out() {
        assert_eq!(
            Circumstances::default().small_print("x.json"),
            "x.json · unknown machine"
        );
    }
}

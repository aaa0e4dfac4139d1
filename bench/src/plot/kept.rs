//! What is read of kept results: no more than what is plotted.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::circumstances::Circumstances;
use super::number::count;
use crate::failure::Failure;

/// The results of one run.
#[derive(Debug)]
pub(super) enum Kept {
    Smoke(Smoke),
    Compare(Compare),
    Steady(Steady),
    Search(Search),
    Matrix(Matrix),
}

impl Kept {
    pub(super) fn read(file: &Path) -> Result<Kept, Failure> {
        let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
        Kept::parse(&text).map_err(|reason| Failure::content(file, &reason))
    }

    /// What is in them tells whose results they are.
    pub(super) fn parse(text: &str) -> Result<Kept, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let has = |key: &str| value.get(key).is_some();
        if has("compared") {
            into(value).map(Kept::Compare)
        } else if has("rows_asked_for") {
            into(value).map(Kept::Matrix)
        } else if has("backlog") {
            into(value).map(Kept::Smoke)
        } else if has("steps") {
            into(value).map(Kept::Search)
        } else if has("runs") {
            into(value).map(Kept::Steady)
        } else {
            Err("these are no results of smoke, drain, compare or steady".to_owned())
        }
    }
}

fn into<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[derive(Debug, Deserialize)]
pub(super) struct Smoke {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) backlog: Vec<Pair>,
    pub(super) large_transaction: Option<Drain>,
    /// Earlier results lack it: their rows were small.
    pub(super) large_row_bytes: Option<u32>,
}

/// The same backlog drained by both, one after the other.
#[derive(Debug, Deserialize)]
pub(super) struct Pair {
    pub(super) recvlogical: Drain,
    pub(super) relay: Drain,
    pub(super) relay_over_tls: Option<Drain>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Drain {
    pub(super) rows: u32,
    drain_s: f64,
    attach_s: Option<f64>,
    first_record_s: Option<f64>,
    pub(super) client: Cost,
    #[serde(default)]
    pub(super) walsender: Cost,
    #[serde(default)]
    pub(super) broker: Cost,
}

impl Drain {
    pub(super) fn events_per_s(&self) -> f64 {
        f64::from(self.rows) / self.drain_s
    }

    pub(super) fn start_to_first_record_ms(&self) -> Option<f64> {
        Some((self.attach_s? + self.first_record_s?) * 1e3)
    }
}

/// What a process spent.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Cost {
    pub(super) cpu_us_per_row: f64,
    pub(super) peak_rss_mib: f64,
}

/// Backlogs of several kinds.
#[derive(Debug, Deserialize)]
pub(super) struct Matrix {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) cases: Vec<Case>,
}

/// One kind, drained by all in turn.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) row_bytes: u32,
    pub(super) rows_per_transaction: u32,
    pub(super) payload: String,
    pub(super) door: String,
    pub(super) brokers: String,
    pub(super) turns: Vec<CaseTurn>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CaseTurn {
    pub(super) recvlogical: Drain,
    pub(super) relay: Drain,
}

#[derive(Debug, Deserialize)]
pub(super) struct Compare {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) drains: Vec<Turn<Drain>>,
    /// Not in all results.
    #[serde(default)]
    pub(super) live: Vec<Turn<Run>>,
    pub(super) compared: Vec<Compared>,
}

/// The same work done by all, one after the other.
#[derive(Debug, Deserialize)]
pub(super) struct Turn<M> {
    pub(super) relay: M,
    /// In the order of `compared`.
    pub(super) peers: Vec<M>,
}

/// Whom the relay was compared with.
#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: String,
    pub(super) drain: Ratios,
    /// How much was published alike, or the first difference.
    pub(super) records: Result<String, String>,
}

/// The relay's figures over the other's, medians of the pairs; `None` where the other's was too small to be seen.
#[derive(Debug, Deserialize)]
pub(super) struct Ratios {
    pub(super) drain_ratio: Option<f64>,
    pub(super) cpu_ratio: Option<f64>,
    pub(super) rss_ratio: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Steady {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) runs: Vec<Run>,
}

/// A load, and the latencies under it.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    pub(super) load: Load,
    pub(super) writer: Writer,
    pub(super) latencies: Latencies,
    pub(super) commit_to_ack: Option<Latency>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Load {
    pub(super) rate_events_per_s: f64,
    pub(super) rows_per_transaction: u32,
    pub(super) row_bytes: u32,
    pub(super) synchronous_commit: bool,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = count(self.rows_per_transaction, "row");
        let commit = if self.synchronous_commit { "on" } else { "off" };
        write!(
            f,
            "{rows} of about {} bytes a transaction, synchronous_commit={commit}",
            self.row_bytes
        )
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Writer {
    pub(super) achieved_events_per_s: f64,
    #[serde(default)]
    pub(super) late_share: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Latencies {
    pub(super) insert_to_consumer: Latency,
    pub(super) intended_to_consumer: Latency,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p99_9_ms: f64,
    pub(super) max_ms: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) p99_bound_ms: f64,
    /// `None` when no rate was held.
    pub(super) peak_events_per_s: Option<f64>,
    pub(super) steps: Vec<Step>,
}

/// One rate that was tried.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) rate_events_per_s: f64,
    pub(super) verdict: Verdict,
    pub(super) runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Held,
    WriterBehind,
    #[serde(other)]
    NotHeld,
}

//! The results at one rate: tables for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::latency::Latency;
use super::measure::Steady;
use super::tables;
use crate::failure::Failure;
use crate::median::median;
use crate::results::{Circumstances, Told};

const METHOD: &str = "\
Latencies in ms. \"Intended\" is when the transaction should have been sent, so that whatever delays the writer counts too; \
a transaction is late when it begins more than 1 ms after that. \"Insert\" is just before the statement is sent, \
\"commit\" when it has returned, \"consumer\" when a consumer in this program has the record. \
Commit to ack is the relay's own histogram: from the time that PostgreSQL puts into the commit record, \
before it writes the record to disk, to the last acknowledgement; its percentiles are interpolated evenly inside its buckets, \
its maximum is a bucket's upper bound. CPU is in percent of one core over the window, that of PostgreSQL's other processes \
without the walsender, idle and stolen (by the host, for other guests) of all cores together; who waits for a core could run, \
and its threads are added up. All processes share the machine, this program (writer and consumer) included.\n";

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    runs: Vec<Steady>,
    numbers: Numbers,
}

/// Medians of the runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Numbers {
    rate_events_per_s: f64,
    achieved_events_per_s: f64,
    writer_late_share: f64,
    writer_max_lag_ms: f64,
    intended_to_consumer: Latency,
    insert_to_consumer: Latency,
    commit_to_consumer: Latency,
    commit_to_ack: Option<Latency>,
    relay_cpu_percent: f64,
    walsender_cpu_percent: f64,
    backends_cpu_percent: f64,
    broker_cpu_percent: f64,
    idle_percent: f64,
    stolen_percent: f64,
    relay_waited_percent: Option<f64>,
    relay_peak_rss_mib: f64,
}

impl Report {
    pub(super) fn new(circumstances: Circumstances, runs: Vec<Steady>) -> Report {
        Report {
            circumstances,
            numbers: Numbers::of(&runs),
            runs,
        }
    }

    /// Markdown: a line for each run, a line for each of its latencies, and how they were measured.
    pub(super) fn table(&self) -> String {
        let mut table = tables::writing(&self.runs);
        table.push_str(&tables::cores(&self.runs));
        table.push_str(&tables::latencies(&self.runs));
        let (before, after) = (self.circumstances.load_before, self.circumstances.load_after);
        let _ = write!(table, "\n{METHOD}Load average: {before:.2} before, {after:.2} after\n");
        table
    }

    /// Writes the results to a file of their own in a folder and says where.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let told = Told {
            tables: &self.table(),
            numbers: &self.numbers(),
        };
        self.circumstances.keep("steady", folder, self, told)
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let numbers = &self.numbers;
        let mut lines = format!(
            "steady_rate_events_per_s={:.0}\nsteady_achieved_events_per_s={:.0}\nsteady_writer_late_percent={:.2}\n\
             steady_writer_max_lag_ms={:.2}\n",
            numbers.rate_events_per_s,
            numbers.achieved_events_per_s,
            100.0 * numbers.writer_late_share,
            numbers.writer_max_lag_ms,
        );
        percentiles(&mut lines, "commit_to_ack", numbers.commit_to_ack.as_ref());
        percentiles(&mut lines, "commit_to_consumer", Some(&numbers.commit_to_consumer));
        percentiles(&mut lines, "insert_to_consumer", Some(&numbers.insert_to_consumer));
        percentiles(&mut lines, "intended_to_consumer", Some(&numbers.intended_to_consumer));
        let _ = write!(
            lines,
            "relay_cpu_percent={:.3}\nwalsender_cpu_percent={:.1}\nbackends_cpu_percent={:.1}\nbroker_cpu_percent={:.1}\n\
             idle_percent={:.1}\nstolen_percent={:.1}\nrelay_peak_rss_mib={:.1}\n",
            numbers.relay_cpu_percent,
            numbers.walsender_cpu_percent,
            numbers.backends_cpu_percent,
            numbers.broker_cpu_percent,
            numbers.idle_percent,
            numbers.stolen_percent,
            numbers.relay_peak_rss_mib,
        );
        if let Some(waited) = numbers.relay_waited_percent {
            let _ = writeln!(lines, "relay_waited_for_a_core_percent={waited:.1}");
        }
        lines
    }
}

fn percentiles(lines: &mut String, name: &str, latency: Option<&Latency>) {
    if let Some(latency) = latency {
        for (percentile, ms) in [
            ("p50", latency.p50_ms),
            ("p99", latency.p99_ms),
            ("p99_9", latency.p99_9_ms),
        ] {
            let _ = writeln!(lines, "steady_{name}_{percentile}_ms={ms:.2}");
        }
    }
}

impl Numbers {
    pub(super) fn of(runs: &[Steady]) -> Numbers {
        let over = |number: fn(&Steady) -> f64| median(runs.iter().map(number));
        let latency = |of: fn(&Steady) -> Latency| medians(&runs.iter().map(of).collect::<Vec<_>>());
        let waited = runs.iter().filter_map(|run| run.waited_for_a_core_percent);
        let waited: Vec<f64> = waited.map(|waited| waited.carrier).collect();
        let acks: Vec<Latency> = runs.iter().filter_map(|run| run.commit_to_ack).collect();
        Numbers {
            rate_events_per_s: over(|run| f64::from(run.load.rate_events_per_s)),
            achieved_events_per_s: over(|run| run.writer.achieved_events_per_s),
            writer_late_share: over(|run| run.writer.late_share),
            writer_max_lag_ms: over(|run| run.writer.max_lag_ms),
            intended_to_consumer: latency(|run| run.latencies.intended_to_consumer),
            insert_to_consumer: latency(|run| run.latencies.insert_to_consumer),
            commit_to_consumer: latency(|run| run.latencies.commit_to_consumer),
            commit_to_ack: (!acks.is_empty()).then(|| medians(&acks)),
            relay_cpu_percent: over(|run| run.cpu_percent.carrier),
            walsender_cpu_percent: over(|run| run.cpu_percent.walsender),
            backends_cpu_percent: over(|run| run.cpu_percent.backends),
            broker_cpu_percent: over(|run| run.cpu_percent.broker),
            idle_percent: over(|run| run.cpu_percent.idle),
            stolen_percent: over(|run| run.cpu_percent.stolen),
            relay_waited_percent: (!waited.is_empty()).then(|| median(waited)),
            relay_peak_rss_mib: over(|run| run.peak_rss_mib),
        }
    }
}

/// The median of each percentile.
fn medians(latencies: &[Latency]) -> Latency {
    let over = |number: fn(&Latency) -> f64| median(latencies.iter().map(number));
    Latency {
        p50_ms: over(|latency| latency.p50_ms),
        p90_ms: over(|latency| latency.p90_ms),
        p99_ms: over(|latency| latency.p99_ms),
        p99_9_ms: over(|latency| latency.p99_9_ms),
        max_ms: over(|latency| latency.max_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_the_median_of_its_own_over_the_runs() {
        let runs = [(1.0, 30.0), (2.0, 10.0), (3.0, 20.0)];
        let runs = runs.map(|(p50_ms, p99_ms)| Steady::example(2_000, Latency::example(p50_ms, p99_ms)));
        let lines = Report::new(Circumstances::example(), runs.to_vec()).numbers();
        for line in [
            "steady_rate_events_per_s=2000",
            "steady_commit_to_ack_p50_ms=2.00",
            "steady_insert_to_consumer_p99_ms=20.00",
            "relay_cpu_percent=20.000",
        ] {
            assert!(lines.lines().any(|found| found == line), "{line} is not in\n{lines}");
        }
    }

    #[test]
    fn who_has_no_histogram_has_no_numbers_of_it() {
        let run = Steady {
            commit_to_ack: None,
            ..Steady::example(10, Latency::example(1.0, 2.0))
        };
        let lines = Report::new(Circumstances::example(), vec![run]).numbers();
        assert!(
            !lines.contains("commit_to_ack") && lines.contains("commit_to_consumer"),
            "{lines}"
        );
    }
}

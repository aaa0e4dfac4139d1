//! `--search`: the peak TPS, the highest rate at which the 99th percentile stays under a bound.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::measure::Steady;
use super::search::Search;
use super::verdict::Verdict;
use crate::failure::Failure;
use crate::median::median;
use crate::progress;
use crate::results::Circumstances;

const TRIES: u32 = 2;

/// One rate that was tried, once.
#[derive(Debug, Serialize)]
struct Step {
    rate_events_per_s: u32,
    verdict: Verdict,
    runs: Vec<Steady>,
}

/// What the search has come to.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    p99_bound_ms: f64,
    /// `None` when not even the lowest rate was held.
    peak_events_per_s: Option<u32>,
    steps: Vec<Step>,
}

/// Tries rates, beginning with `start`, until the highest one that is held is known. A rate that is not held is tried
/// again: whatever else disturbed the machine for a moment must not lead the search astray.
pub(super) fn search(
    start: u32,
    p99_bound_ms: f64,
    measure_at: impl Fn(u32) -> Result<Vec<Steady>, Failure>,
) -> Result<Found, Failure> {
    let (mut search, mut steps) = (Search::from(start), Vec::new());
    while let Some(rate) = search.next() {
        let is_held = is_held(rate, p99_bound_ms, &measure_at, &mut steps)?;
        search.note(rate, is_held);
    }
    Ok(Found {
        p99_bound_ms,
        peak_events_per_s: search.peak(),
        steps,
    })
}

fn is_held(
    rate: u32,
    p99_bound_ms: f64,
    measure_at: impl Fn(u32) -> Result<Vec<Steady>, Failure>,
    steps: &mut Vec<Step>,
) -> Result<bool, Failure> {
    for _ in 0..TRIES {
        let runs = measure_at(rate)?;
        let verdict = of_most(&runs, p99_bound_ms);
        progress::step(&format!("{rate} events/s: {verdict}"));
        steps.push(Step {
            rate_events_per_s: rate,
            verdict,
            runs,
        });
        if verdict == Verdict::Held {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Held when most runs held it; otherwise the first reason against it.
fn of_most(runs: &[Steady], p99_bound_ms: f64) -> Verdict {
    let verdicts = runs.iter().map(|run| Verdict::on(run, p99_bound_ms));
    let against: Vec<Verdict> = verdicts.filter(|verdict| *verdict != Verdict::Held).collect();
    match against.first() {
        Some(reason) if against.len() * 2 >= runs.len() => *reason,
        _ => Verdict::Held,
    }
}

/// The search with its circumstances.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    #[serde(flatten)]
    found: Found,
}

impl Report {
    pub(super) fn new(circumstances: Circumstances, found: Found) -> Report {
        Report { circumstances, found }
    }

    /// A Markdown table with a line for each rate that was tried.
    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| offered events/s | achieved | connections | intended→consumer ms: p50 | p99 | insert→consumer ms: p99 | \
             begun late % | backlog growth | CPU %: carrier | walsender | broker | bench | |\n\
             | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |\n",
        );
        for step in &self.found.steps {
            step.line(&mut table);
        }
        let _ = writeln!(
            table,
            "\nA rate is held when p99 from the intended time to the consumer is at most {:.0} ms, the backlog does not grow \
             and 98 % of what was offered was committed; one that is not is tried a second time. The writer is the limit when \
             PostgreSQL takes less than that, or when p99 would be within the bound without its lag. All processes share the machine.",
            self.found.p99_bound_ms
        );
        table
    }

    /// Writes the results to a file of their own and says where.
    pub(super) fn keep(&self) -> Result<PathBuf, Failure> {
        self.circumstances.keep("steady-search", self, &self.numbers())
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let mut lines = format!("peak_tps={}\n", self.found.peak_events_per_s.unwrap_or(0));
        // What kept the next rate from being held.
        if let Some(limit) = self.found.limit() {
            let _ = writeln!(lines, "peak_limited_by={limit}");
        }
        lines
    }
}

impl Found {
    /// Why the lowest rate above the peak was not held.
    fn limit(&self) -> Option<&'static str> {
        let above = self
            .steps
            .iter()
            .filter(|step| Some(step.rate_events_per_s) > self.peak_events_per_s);
        let lowest = above.min_by_key(|step| step.rate_events_per_s)?;
        lowest.verdict.limit()
    }
}

impl Step {
    fn line(&self, table: &mut String) {
        let over = |number: fn(&Steady) -> f64| median(self.runs.iter().map(number));
        let _ = writeln!(
            table,
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            self.rate_events_per_s,
            over(|run| run.writer.achieved_events_per_s),
            over(|run| f64::from(run.load.connections)),
            over(|run| run.latencies.intended_to_consumer.p50_ms),
            over(|run| run.latencies.intended_to_consumer.p99_ms),
            over(|run| run.latencies.insert_to_consumer.p99_ms),
            100.0 * over(|run| run.writer.late_share),
            over(|run| run.backlog_growth_events),
            over(|run| run.cpu_percent.carrier),
            over(|run| run.cpu_percent.walsender),
            over(|run| run.cpu_percent.broker),
            over(|run| run.cpu_percent.bench),
            self.verdict,
        );
    }
}

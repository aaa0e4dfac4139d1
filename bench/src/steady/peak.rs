//! `--search`: the peak TPS, the highest rate at which the 99th percentile stays under a bound.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::measure::Steady;
use super::search::{Next, Search};
use super::tables::{self, CORES_HEAD, CORES_RULE};
use super::verdict::Verdict;
use crate::failure::Failure;
use crate::median::median;
use crate::progress;
use crate::results::{Circumstances, Told};

const TRIES: u32 = 2;

/// One rate that was tried, once.
#[derive(Debug, Serialize)]
struct Step {
    rate_events_per_s: u32,
    /// Whether it was the highest that had been held until then.
    confirms: bool,
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

/// Tries rates, beginning with `start`, until the highest one that is held is known, and that one once more: it is lowered
/// until it is held a second time. A rate that is not held is tried again: whatever else disturbed the machine for a moment
/// must not lead the search astray.
pub(super) fn search(
    start: u32,
    p99_bound_ms: f64,
    measure_at: impl Fn(u32) -> Result<Vec<Steady>, Failure>,
) -> Result<Found, Failure> {
    let (mut search, mut steps) = (Search::from(start), Vec::new());
    while let Some(next) = search.next() {
        let is_held = is_held(next, p99_bound_ms, &measure_at, &mut steps)?;
        search.note(next, is_held);
    }
    Ok(Found {
        p99_bound_ms,
        peak_events_per_s: search.peak(),
        steps,
    })
}

fn is_held(
    next: Next,
    p99_bound_ms: f64,
    measure_at: impl Fn(u32) -> Result<Vec<Steady>, Failure>,
    steps: &mut Vec<Step>,
) -> Result<bool, Failure> {
    let (rate, confirms, tries) = match next {
        Next::Try(rate) => (rate, false, TRIES),
        Next::Confirm(rate) => (rate, true, 1),
    };
    for _ in 0..tries {
        let runs = measure_at(rate)?;
        let verdict = of_most(&runs, p99_bound_ms);
        let once_more = if confirms { " once more" } else { "" };
        progress::step(&format!("{rate} events/s{once_more}: {verdict}"));
        steps.push(Step {
            rate_events_per_s: rate,
            confirms,
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
        let mut table = format!(
            "| offered events/s | at rest after s | achieved | connections | intended→consumer ms: p50 | p99 | insert→consumer ms: p99 | \
             begun late % | backlog growth | {CORES_HEAD} |\n\
             | --: | --: | --: | --: | --: | --: | --: | --: | --: |{CORES_RULE} --- |\n",
        );
        for step in &self.found.steps {
            step.line(&mut table);
        }
        let _ = writeln!(
            table,
            "\nA rate is held when p99 from the intended time to the consumer is at most {:.0} ms, the backlog does not grow \
             and 98 % of what was offered was committed; one that is not is tried a second time, and the highest that is once more in the \
             end: it is lowered until it is held again. Each begins when the servers are at rest. The writer is the limit when \
             PostgreSQL takes less than that, or when p99 would be within the bound without its lag. All processes share the machine.",
            self.found.p99_bound_ms
        );
        table
    }

    /// Writes the results to a file of their own in a folder and says where.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let told = Told {
            tables: &self.table(),
            numbers: &self.numbers(),
        };
        self.circumstances.keep("steady-search", folder, self, told)
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
            .filter(|step| Some(step.rate_events_per_s) > self.peak_events_per_s)
            .filter(|step| step.verdict != Verdict::Held);
        let lowest = above.min_by_key(|step| step.rate_events_per_s)?;
        lowest.verdict.limit()
    }
}

impl Step {
    fn line(&self, table: &mut String) {
        let over = |number: fn(&Steady) -> f64| median(self.runs.iter().map(number));
        let _ = writeln!(
            table,
            "| {} | {} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {} | {}{} |",
            self.rate_events_per_s,
            tables::rest(&self.runs),
            over(|run| run.writer.achieved_events_per_s),
            over(|run| f64::from(run.load.connections)),
            over(|run| run.latencies.intended_to_consumer.p50_ms),
            over(|run| run.latencies.intended_to_consumer.p99_ms),
            over(|run| run.latencies.insert_to_consumer.p99_ms),
            100.0 * over(|run| run.writer.late_share),
            over(|run| run.backlog_growth_events),
            tables::cells_of_cores(&self.runs),
            if self.confirms { "once more: " } else { "" },
            self.verdict,
        );
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::latency::Latency;
    use super::*;

    const BOUND_MS: f64 = 50.0;

    fn run(rate: u32, p99_ms: f64) -> Steady {
        Steady::example(rate, Latency::example(1.0, p99_ms))
    }

    /// Searches from 2,000 on, where a try at a rate takes `p99_ms` with so many tries at it before.
    fn found(p99_ms: impl Fn(u32, usize) -> f64) -> Found {
        let tried = RefCell::new(Vec::new());
        let measure_at = |rate| {
            let before = tried.borrow().iter().filter(|one| **one == rate).count();
            tried.borrow_mut().push(rate);
            Ok(vec![run(rate, p99_ms(rate, before))])
        };
        search(2_000, BOUND_MS, measure_at).expect("every try is measured")
    }

    #[test]
    fn the_peak_is_the_highest_rate_that_is_held_and_what_limits_it_is_said() {
        let found = found(|rate, _| if rate <= 4_000 { 40.0 } else { 60.0 });
        assert_eq!((found.peak_events_per_s, found.limit()), (Some(4_000), Some("latency")));
    }

    #[test]
    fn a_rate_that_is_not_held_is_tried_once_more_and_one_that_is_held_is_not() {
        let found = found(|rate, before| match rate {
            ..=2_000 => 40.0,
            4_000 if before > 0 => 40.0,
            _ => 60.0,
        });
        let tries = |rate| found.steps.iter().filter(|step| step.rate_events_per_s == rate).count();
        assert_eq!([2_000, 4_000, 8_000].map(tries), [1, 3, 2]);
        assert_eq!(found.peak_events_per_s, Some(4_000));
    }

    #[test]
    fn a_peak_that_is_not_held_once_more_is_lowered_and_what_limits_it_is_still_said() {
        let found = found(|rate, before| match rate {
            ..=4_000 => 40.0,
            4_125 if before == 0 => 40.0,
            _ => 60.0,
        });
        assert_eq!((found.peak_events_per_s, found.limit()), (Some(4_000), Some("latency")));
        let confirming = found.steps.iter().filter(|step| step.confirms);
        let confirming: Vec<(u32, Verdict)> = confirming.map(|step| (step.rate_events_per_s, step.verdict)).collect();
        assert_eq!(confirming, [(4_125, Verdict::TooSlow), (4_000, Verdict::Held)]);
    }

    #[test]
    fn without_a_rate_that_is_held_there_is_no_peak() {
        let found = found(|_, _| 60.0);
        assert_eq!((found.peak_events_per_s, found.limit()), (None, Some("latency")));
    }

    #[test]
    fn a_rate_is_held_when_more_than_half_of_its_runs_are() {
        let verdict = |p99s: &[f64]| {
            let runs: Vec<Steady> = p99s.iter().map(|p99_ms| run(1_000, *p99_ms)).collect();
            of_most(&runs, BOUND_MS)
        };
        assert_eq!(verdict(&[40.0, 60.0, 40.0]), Verdict::Held);
        assert_eq!(verdict(&[40.0, 60.0]), Verdict::TooSlow);
    }
}

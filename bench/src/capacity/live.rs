//! What was measured under a live load: the peak that `steady --search` has found, and what events cost at a rate.

use serde::Deserialize;

use super::told::told;
use crate::median::median;
use crate::results::Circumstances;

const US_PER_S: f64 = 1e6;
const PERCENT: f64 = 100.0;

/// Results of `steady`.
#[derive(Debug, Deserialize)]
pub(super) struct Steady {
    #[serde(flatten)]
    circumstances: Circumstances,
    runs: Vec<Run>,
}

/// Results of `steady --search`.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(flatten)]
    circumstances: Circumstances,
    p99_bound_ms: f64,
    /// `None` when no rate was held.
    pub(super) peak_events_per_s: Option<f64>,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    rate_events_per_s: f64,
    #[serde(default)]
    verdict: Option<String>,
    runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    load: Load,
    writer: Writer,
    cpu_percent: CpuPercent,
    peak_rss_mib: f64,
}

#[derive(Debug, Deserialize)]
struct Load {
    rate_events_per_s: f64,
}

#[derive(Debug, Deserialize)]
struct Writer {
    achieved_events_per_s: f64,
}

#[derive(Debug, Deserialize)]
struct CpuPercent {
    carrier: f64,
    walsender: f64,
}

/// What an event costs at a rate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LiveCosts {
    pub(super) rate_events_per_s: f64,
    pub(super) relay_cpu_us_per_event: f64,
    pub(super) walsender_cpu_us_per_event: f64,
    pub(super) relay_rss_mib: f64,
    pub(super) told: String,
}

impl Steady {
    pub(super) fn costs(&self) -> Option<LiveCosts> {
        costs("steady", &self.runs, &self.circumstances)
    }
}

impl Search {
    /// At each rate that was tried, held or not.
    pub(super) fn costs(&self) -> impl Iterator<Item = LiveCosts> {
        let costs = |step: &Step| costs("steady --search", &step.runs, &self.circumstances);
        self.steps.iter().filter_map(costs)
    }

    pub(super) fn told(&self) -> String {
        let at_least = if self.is_limited_by_writer() {
            ", or more: PostgreSQL's commits were the limit"
        } else {
            ""
        };
        let bound = format!("single rows with 99 % within {:.0} ms{at_least}", self.p99_bound_ms);
        told("steady --search", &bound, &self.circumstances)
    }

    /// The lowest rate above the peak was too much for the server that the rows were written to.
    fn is_limited_by_writer(&self) -> bool {
        let not_held = self.steps.iter().filter(|step| step.verdict.as_deref() != Some("held"));
        let above = not_held.filter(|step| Some(step.rate_events_per_s) > self.peak_events_per_s);
        let lowest = above.min_by(|one, other| one.rate_events_per_s.total_cmp(&other.rate_events_per_s));
        lowest.is_some_and(|step| step.verdict.as_deref() == Some("writer_behind"))
    }
}

fn costs(command: &str, runs: &[Run], circumstances: &Circumstances) -> Option<LiveCosts> {
    let rate = runs.first()?.load.rate_events_per_s;
    let over = |number: fn(&Run) -> f64| median(runs.iter().map(number));
    let us_per_event = |percent: f64, run: &Run| US_PER_S * percent / PERCENT / run.writer.achieved_events_per_s;
    let cpu = |percent: fn(&Run) -> f64| median(runs.iter().map(|run| us_per_event(percent(run), run)));
    Some(LiveCosts {
        rate_events_per_s: rate,
        relay_cpu_us_per_event: cpu(|run| run.cpu_percent.carrier),
        walsender_cpu_us_per_event: cpu(|run| run.cpu_percent.walsender),
        relay_rss_mib: over(|run| run.peak_rss_mib),
        told: told(command, &format!("at {rate:.0} events/s"), circumstances),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const CIRCUMSTANCES: &str = r#""finished_unix_s": 1795835565, "relay_overrides": [], "load_before": 0.5,
        "load_after": 0.5, "machine": {"processor": "a processor", "cores": 2, "kernel": "6"}"#;

    fn run(rate: u32, carrier: f64) -> String {
        format!(
            r#"{{"load": {{"rate_events_per_s": {rate}}}, "writer": {{"achieved_events_per_s": {rate}}},
                "cpu_percent": {{"carrier": {carrier}, "walsender": 12.0}}, "peak_rss_mib": 15.0}}"#
        )
    }

    /// Three runs at 2,000 a second, 16 % of a core in the middle.
    pub(in super::super) fn steady() -> Steady {
        let runs = [16.0, 14.0, 30.0].map(|carrier| run(2_000, carrier)).join(", ");
        let text = format!(r#"{{{CIRCUMSTANCES}, "runs": [{runs}]}}"#);
        serde_json::from_str(&text).expect("results")
    }

    /// 4,000 a second held twice and 8,000 not, or nothing at all.
    pub(in super::super) fn search(peak: &str) -> Search {
        let steps = [(4_000, 10.0), (8_000, 7.0), (4_000, 14.0)].map(|(rate, carrier)| {
            let run = run(rate, carrier);
            let verdict = if rate == 8_000 { "writer_behind" } else { "held" };
            format!(r#"{{"rate_events_per_s": {rate}, "verdict": "{verdict}", "runs": [{run}]}}"#)
        });
        let steps = steps.join(", ");
        let text =
            format!(r#"{{{CIRCUMSTANCES}, "p99_bound_ms": 50.0, "peak_events_per_s": {peak}, "steps": [{steps}]}}"#);
        serde_json::from_str(&text).expect("results")
    }

    #[test]
    fn costs_are_made_of_cpu_and_rate_run_by_run() {
        let costs = steady().costs().expect("runs");
        assert!((costs.relay_cpu_us_per_event - 80.0).abs() < 1e-9, "{costs:?}");
        assert!((costs.walsender_cpu_us_per_event - 60.0).abs() < 1e-9, "{costs:?}");
        assert_eq!(
            costs.told,
            "steady at 2000 events/s, on 2026-11-28, a processor, 2 cores"
        );
    }

    #[test]
    fn costs_are_known_at_each_rate_that_was_tried() {
        let search = search("4000");
        let costs = search
            .costs()
            .map(|costs| (costs.rate_events_per_s, costs.relay_cpu_us_per_event.round()));
        assert_eq!(
            costs.collect::<Vec<_>>(),
            [(4_000.0, 25.0), (8_000.0, 9.0), (4_000.0, 35.0)]
        );
    }

    #[test]
    fn a_peak_that_the_writer_limits_is_said_to_be_at_the_least() {
        assert!(
            search("4000").told().contains("or more: PostgreSQL's commits"),
            "{}",
            search("4000").told()
        );
        assert!(!search("8000").told().contains("or more"), "{}", search("8000").told());
    }
}

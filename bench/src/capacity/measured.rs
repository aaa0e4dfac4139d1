//! What was measured, as far as it was: costs and the peak that stand in for what is not given.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::inputs::{By, Input};
use super::live::{LiveCosts, Search, Steady};
use super::told::told;
use crate::failure::Failure;
use crate::progress;
use crate::results::{self, Choice};
use crate::smoke::Kept;

/// Below this rate a wake-up of the relay carries few rows, and each costs many times what it costs in full batches: without a
/// measurement at a rate near the load's, that is to be said.
pub(super) const FULL_BATCHES_TPS: f64 = 5_000.0;

/// Sub-commands with results that are looked for.
const COMMANDS: [&str; 3] = ["smoke", "steady", "steady-search"];

/// Results, of each sub-command at most one run.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) smoke: Option<Kept>,
    pub(super) steady: Option<Steady>,
    pub(super) search: Option<Search>,
}

impl Measured {
    /// Those named, or else the newest that count. What does not count is said.
    pub(super) fn read(named: &[PathBuf], folder: &Path) -> Result<Measured, Failure> {
        let files = match named {
            [] => COMMANDS.iter().filter_map(|command| newest(command, folder)).collect(),
            named => named.to_vec(),
        };
        let mut measured = Measured::default();
        for file in files {
            let text = fs::read_to_string(&file).map_err(Failure::file("read", &file))?;
            let taken = measured.take(&text);
            taken.map_err(|reason| Failure::content(&file, &reason))?;
        }
        Ok(measured)
    }

    /// What is in it tells whose results they are.
    fn take(&mut self, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value.get("backlog").is_some() {
            self.smoke = Some(Kept::parse(text).map_err(|error| error.to_string())?);
        } else if value.get("steps").is_some() {
            self.search = Some(into(value)?);
        } else if value.get("runs").is_some() {
            self.steady = Some(into(value)?);
        } else {
            return Err("these are no results of smoke or steady".to_owned());
        }
        Ok(())
    }

    /// What one relay carries: live where that was looked for, or else from a backlog.
    pub(super) fn peak_tps(&self) -> Option<Input> {
        let live = self.search.as_ref().and_then(|search| {
            let peak = search.peak_events_per_s?;
            Some(Input::measured(peak, By::Search, search.told()))
        });
        live.or_else(|| self.of_smoke(|smoke| Some(smoke.drain_events_per_s())))
    }

    /// Of the relay, for a load that has so many events a second at its peak.
    pub(super) fn relay_cpu_us_per_event(&self, peak_tps: f64) -> Option<Input> {
        let drained = self.of_smoke(|smoke| Some(smoke.relay_cpu_us_per_event()));
        self.suitable(peak_tps, drained, |costs| costs.relay_cpu_us_per_event)
    }

    /// Of the walsender, for the same.
    pub(super) fn walsender_cpu_us_per_event(&self, peak_tps: f64) -> Option<Input> {
        let drained = self.of_smoke(|smoke| Some(smoke.walsender_cpu_us_per_event()));
        self.suitable(peak_tps, drained, |costs| costs.walsender_cpu_us_per_event)
    }

    /// Of drains where there are any: they take more than a live load.
    pub(super) fn relay_rss_mib(&self) -> Option<Input> {
        let drained = self.of_smoke(|smoke| Some(smoke.rss_mib()));
        drained.or_else(|| {
            let costs = self.live().into_iter().next()?;
            Some(Input::measured(costs.relay_rss_mib, By::Steady, costs.told))
        })
    }

    pub(super) fn wal_bytes_per_event(&self) -> Option<Input> {
        self.of_smoke(Kept::wal_bytes_per_event)
    }

    /// The more events a second, the less each costs: few share a wake-up. Between two rates that were measured it lies between
    /// their costs; above all of them between the last one's and that of full batches.
    fn suitable(&self, peak_tps: f64, drained: Option<Input>, cost: fn(&LiveCosts) -> f64) -> Option<Input> {
        let mut live = self.live();
        live.sort_by(|one, other| one.rate_events_per_s.total_cmp(&other.rate_events_per_s));
        let above = live.iter().position(|costs| costs.rate_events_per_s >= peak_tps);
        let (Some(last), Some(first)) = (live.last(), live.first()) else {
            return drained;
        };
        let at = |costs: &LiveCosts| (costs.rate_events_per_s, cost(costs));
        match above {
            Some(0) => Some(Input::measured(cost(first), By::Steady, first.told.clone())),
            Some(place) => {
                let (below, above) = (&live[place - 1], &live[place]);
                let between = between(at(below), at(above), peak_tps);
                let told = format!("{}; {}", below.told, above.told);
                Some(Input::measured(between, By::Steady, told))
            }
            None => {
                let (Some(drained), Some(smoke)) = (drained, &self.smoke) else {
                    return Some(Input::measured(cost(last), By::Steady, last.told.clone()));
                };
                let full_batches_tps = smoke.drain_events_per_s();
                if peak_tps >= full_batches_tps {
                    return Some(drained);
                }
                let value = between(at(last), (full_batches_tps, drained.value), peak_tps);
                let told = format!("{}; {}", last.told, drained.told().unwrap_or_default());
                Some(Input::measured(value, By::Steady, told))
            }
        }
    }

    /// What events cost, at each rate that was measured once: the median of `steady`, or the last of a search.
    fn live(&self) -> Vec<LiveCosts> {
        let mut live: Vec<LiveCosts> = self.steady.iter().filter_map(Steady::costs).collect();
        let tried = self.search.iter().flat_map(Search::costs).collect::<Vec<_>>();
        for costs in tried.into_iter().rev() {
            if live
                .iter()
                .all(|known| (known.rate_events_per_s - costs.rate_events_per_s).abs() >= 1.0)
            {
                live.push(costs);
            }
        }
        live
    }

    fn of_smoke(&self, number: impl Fn(&Kept) -> Option<f64>) -> Option<Input> {
        let smoke = self.smoke.as_ref()?;
        let rows = format!("with {} rows", smoke.rows());
        let told = told("smoke", &rows, smoke.circumstances());
        Some(Input::measured(number(smoke)?, By::Smoke, told))
    }
}

/// The cost at a rate between two, each with its rate; beyond the second it stays. By the logarithm of the rate: a wake-up is
/// shared by as many more events as there are.
fn between((low, at_low): (f64, f64), (high, at_high): (f64, f64), rate: f64) -> f64 {
    if high <= low {
        return at_high;
    }
    let share = ((rate / low).ln() / (high / low).ln()).clamp(0.0, 1.0);
    at_low + share * (at_high - at_low)
}

fn newest(command: &str, folder: &Path) -> Option<PathBuf> {
    let Choice { suitable, left_out } = results::choose(command, folder);
    for left_out in left_out {
        progress::step(&format!("{left_out}; --measured takes it all the same"));
    }
    suitable.into_iter().next()
}

fn into<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::{search, steady};
    use super::*;

    fn all() -> Measured {
        Measured {
            smoke: Some(Kept::example()),
            steady: Some(steady()),
            search: Some(search("4000")),
        }
    }

    fn found(input: Option<Input>) -> (f64, By) {
        let input = input.expect("it was measured");
        (input.value, input.by().expect("it was measured"))
    }

    #[test]
    fn few_events_cost_what_they_cost_live_and_many_what_they_cost_in_a_backlog() {
        let measured = all();
        assert_eq!(found(measured.relay_cpu_us_per_event(400.0)), (80.0, By::Steady));
        assert_eq!(found(measured.relay_cpu_us_per_event(200_000.0)), (5.18, By::Smoke));
        let only_live = Measured { smoke: None, ..all() };
        assert_eq!(found(only_live.relay_cpu_us_per_event(50_000.0)), (8.75, By::Steady));
        let only_drained = Measured {
            steady: None,
            search: None,
            ..all()
        };
        assert_eq!(found(only_drained.relay_cpu_us_per_event(400.0)), (5.18, By::Smoke));
    }

    /// 80 µs at 2,000 a second, 35 at 4,000, 8.75 at 8,000, 5.18 in full batches at 156,250.
    #[test]
    fn between_two_rates_an_event_costs_what_lies_between_and_there_is_no_step() {
        let at = |rate: f64| found(all().relay_cpu_us_per_event(rate)).0;
        assert!((at(2_000.0) - 80.0).abs() < 1e-9 && (at(4_000.0) - 35.0).abs() < 1e-9);
        assert!((at(2_828.427) - 57.5).abs() < 0.01, "{}", at(2_828.427));
        let rates: Vec<f64> = (0..600).map(|step| 1_000.0 * 1.01_f64.powi(step)).collect();
        for pair in rates.windows(2) {
            let (before, after) = (at(pair[0]), at(pair[1]));
            assert!(
                after <= before && before - after < 0.1 * before,
                "{pair:?}: {before}, {after}"
            );
        }
    }

    #[test]
    fn the_peak_is_what_the_search_found_and_a_backlogs_where_it_found_none() {
        assert_eq!(found(all().peak_tps()), (4_000.0, By::Search));
        let without = Measured {
            search: Some(search("null")),
            ..all()
        };
        assert_eq!(found(without.peak_tps()), (156_250.0, By::Smoke));
    }

    #[test]
    fn memory_is_that_of_drains_where_there_are_any() {
        assert_eq!(found(all().relay_rss_mib()), (66.0, By::Smoke));
        let only_live = Measured { smoke: None, ..all() };
        assert_eq!(found(only_live.relay_rss_mib()), (15.0, By::Steady));
    }

    #[test]
    fn results_of_anything_else_are_refused() {
        assert!(Measured::default().take(r#"{"compared": []}"#).is_err());
    }
}

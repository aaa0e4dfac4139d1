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

/// Below this rate a wake-up of the relay carries few rows, and each costs many times what it costs in full batches.
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
        drained.or_else(|| self.live(|costs| costs.relay_rss_mib))
    }

    pub(super) fn wal_bytes_per_event(&self) -> Option<Input> {
        self.of_smoke(Kept::wal_bytes_per_event)
    }

    /// A few events at a time cost what they cost live, many what they cost in full batches.
    fn suitable(&self, peak_tps: f64, drained: Option<Input>, cost: fn(&LiveCosts) -> f64) -> Option<Input> {
        if peak_tps < FULL_BATCHES_TPS {
            self.live(cost).or(drained)
        } else {
            drained.or_else(|| self.live(cost))
        }
    }

    fn live(&self, cost: fn(&LiveCosts) -> f64) -> Option<Input> {
        let at_a_rate = self.steady.as_ref().and_then(Steady::costs);
        let costs = at_a_rate.or_else(|| self.search.as_ref()?.costs())?;
        Some(Input::measured(cost(&costs), By::Steady, costs.told))
    }

    fn of_smoke(&self, number: impl Fn(&Kept) -> Option<f64>) -> Option<Input> {
        let smoke = self.smoke.as_ref()?;
        let rows = format!("with {} rows", smoke.rows());
        let told = told("smoke", &rows, smoke.circumstances());
        Some(Input::measured(number(smoke)?, By::Smoke, told))
    }
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
        assert_eq!(found(measured.relay_cpu_us_per_event(50_000.0)), (5.18, By::Smoke));
        let only_live = Measured { smoke: None, ..all() };
        assert_eq!(found(only_live.relay_cpu_us_per_event(50_000.0)), (80.0, By::Steady));
        let only_drained = Measured {
            steady: None,
            search: None,
            ..all()
        };
        assert_eq!(found(only_drained.relay_cpu_us_per_event(400.0)), (5.18, By::Smoke));
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

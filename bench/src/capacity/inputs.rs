//! The numbers that go in, and where each comes from.

use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;

use super::options::{CostOptions, LoadOptions};
use super::sizing::{Costs, Load};
use super::storage;
use crate::failure::Failure;
use crate::progress;
use crate::results::{self, Choice};
use crate::smoke::Kept;

/// About as large are the rows that smoke measures with.
pub(super) const MEASURED_ROW_BYTES: f64 = 600.0;

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    Given,
    /// With the reason for it.
    Default(&'static str),
    Measured(String),
    /// By a formula.
    Estimated(&'static str),
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Input {
    pub(super) value: f64,
    pub(super) origin: Origin,
}

impl Input {
    fn load(given: Option<f64>, default: f64, reason: &'static str) -> Input {
        given.map_or(
            Input {
                value: default,
                origin: Origin::Default(reason),
            },
            Input::given,
        )
    }

    const fn given(value: f64) -> Input {
        Input {
            value,
            origin: Origin::Given,
        }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Inputs {
    pub(super) events_per_day: Input,
    pub(super) peak_factor: Input,
    pub(super) row_bytes: Input,
    pub(super) retention_hours: Input,
    pub(super) outbox_retention_hours: Input,
    pub(super) partition_mb_per_s: Input,
    pub(super) consumer_ms_per_event: Input,
    pub(super) replication_factor: Input,
    pub(super) compression_ratio: Input,
    pub(super) relay_cpu_us_per_event: Input,
    pub(super) walsender_cpu_us_per_event: Option<Input>,
    pub(super) peak_tps: Input,
    pub(super) relay_rss_mib: Input,
    pub(super) wal_bytes_per_event: Input,
}

impl Inputs {
    /// `kept` are the results that stand in for costs that are not given; `None` when a cost was neither given nor measured.
    pub(super) fn gather(load: &LoadOptions, costs: &CostOptions, kept: Option<&Kept>) -> Option<Inputs> {
        let cost = |given: Option<f64>, measured: fn(&Kept) -> Option<f64>| {
            let given = given.map(Input::given);
            given.or_else(|| {
                let kept = kept?;
                Some(Input {
                    value: measured(kept)?,
                    origin: Origin::Measured(told(kept)),
                })
            })
        };
        let row_bytes = Input::load(load.row_bytes, MEASURED_ROW_BYTES, "what smoke measures with");
        let retention_hours = Input::load(load.retention_hours, 168.0, "Kafka's own log.retention.hours");
        let outbox_retention_hours = Input::load(
            load.outbox_retention_hours,
            retention_hours.value,
            "as the topics: whatever Kafka has can be published again",
        );
        let mut wal_bytes = cost(costs.wal_bytes_per_event, Kept::wal_bytes_per_event);
        if let (Some(wal_bytes), None) = (&mut wal_bytes, costs.wal_bytes_per_event) {
            // What is not the row itself stays the same.
            wal_bytes.value += row_bytes.value - MEASURED_ROW_BYTES;
        }
        Some(Inputs {
            events_per_day: Input::given(load.events_per_day),
            peak_factor: Input::load(
                load.peak_factor,
                4.0,
                "a busy hour against the mean of a day; take your own",
            ),
            partition_mb_per_s: Input::load(load.partition_mb_per_s, 10.0, "a careful rule of thumb"),
            consumer_ms_per_event: Input::load(load.consumer_ms_per_event, 5.0, "one write to a database"),
            replication_factor: Input::load(
                load.replication_factor.map(f64::from),
                3.0,
                "survives one broker with acks=all",
            ),
            compression_ratio: Input::load(
                load.compression_ratio,
                1.0,
                "no compression: smoke's payloads are no measure",
            ),
            relay_cpu_us_per_event: cost(costs.relay_cpu_us_per_event, |kept| Some(kept.relay_cpu_us_per_event()))?,
            walsender_cpu_us_per_event: cost(costs.walsender_cpu_us_per_event, |kept| {
                Some(kept.walsender_cpu_us_per_event())
            }),
            peak_tps: cost(costs.peak_tps, |kept| Some(kept.drain_events_per_s()))?,
            relay_rss_mib: cost(costs.relay_rss_mib, |kept| Some(kept.rss_mib()))?,
            wal_bytes_per_event: wal_bytes.unwrap_or_else(|| Input {
                value: storage::wal_bytes_estimate(row_bytes.value),
                origin: Origin::Estimated("the row, 54 bytes around it, 72 of its index entry, 54 of a commit"),
            }),
            row_bytes,
            retention_hours,
            outbox_retention_hours,
        })
    }

    /// As if all costs had been measured.
    #[cfg(test)]
    pub(super) fn measured(load: &Load, costs: &Costs) -> Inputs {
        let measured = |value| Input {
            value,
            origin: Origin::Measured("a test".to_owned()),
        };
        Inputs {
            events_per_day: Input::given(load.events_per_day),
            peak_factor: Input::given(load.peak_factor),
            row_bytes: Input::given(load.row_bytes),
            retention_hours: Input::given(load.retention_hours),
            outbox_retention_hours: Input::given(load.outbox_retention_hours),
            partition_mb_per_s: Input::given(load.partition_mb_per_s),
            consumer_ms_per_event: Input::given(load.consumer_ms_per_event),
            replication_factor: Input::given(load.replication_factor),
            compression_ratio: Input::given(load.compression_ratio),
            relay_cpu_us_per_event: measured(costs.relay_cpu_us_per_event),
            walsender_cpu_us_per_event: costs.walsender_cpu_us_per_event.map(measured),
            peak_tps: measured(costs.peak_tps),
            relay_rss_mib: measured(costs.relay_rss_mib),
            wal_bytes_per_event: measured(costs.wal_bytes_per_event),
        }
    }

    pub(super) fn load(&self) -> Load {
        Load {
            events_per_day: self.events_per_day.value,
            peak_factor: self.peak_factor.value,
            row_bytes: self.row_bytes.value,
            retention_hours: self.retention_hours.value,
            outbox_retention_hours: self.outbox_retention_hours.value,
            partition_mb_per_s: self.partition_mb_per_s.value,
            consumer_ms_per_event: self.consumer_ms_per_event.value,
            replication_factor: self.replication_factor.value,
            compression_ratio: self.compression_ratio.value,
        }
    }

    pub(super) fn costs(&self) -> Costs {
        Costs {
            relay_cpu_us_per_event: self.relay_cpu_us_per_event.value,
            walsender_cpu_us_per_event: self.walsender_cpu_us_per_event.as_ref().map(|input| input.value),
            peak_tps: self.peak_tps.value,
            relay_rss_mib: self.relay_rss_mib.value,
            wal_bytes_per_event: self.wal_bytes_per_event.value,
        }
    }
}

/// The results to take costs from: those named, or the newest that count. What does not is said.
pub(super) fn kept(named: Option<&Path>, folder: &Path) -> Result<Option<Kept>, Failure> {
    if let Some(named) = named {
        return Kept::read(named).map(Some);
    }
    let Choice { suitable, left_out } = results::choose("smoke", folder);
    for left_out in left_out {
        progress::step(&format!("{left_out}; --measured takes it all the same"));
    }
    suitable.first().map(|file| Kept::read(file)).transpose()
}

fn told(kept: &Kept) -> String {
    let stamp = i64::try_from(kept.finished_unix_s()).ok();
    let date = stamp.and_then(|stamp| OffsetDateTime::from_unix_timestamp(stamp).ok());
    let date = date.map_or_else(String::new, |at| format!(", on {}", at.date()));
    let mut told = vec![format!("smoke{date}"), format!("{} rows", kept.rows()), kept.machine()];
    told.extend_from_slice(kept.overrides());
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        load: LoadOptions,
        #[command(flatten)]
        costs: CostOptions,
    }

    fn gather(arguments: &str, kept: Option<&Kept>) -> Option<Inputs> {
        let line = format!("capacity --events-per-day 1e7 {arguments}");
        let line = CommandLine::try_parse_from(line.split_whitespace()).expect("valid options");
        Inputs::gather(&line.load, &line.costs, kept)
    }

    #[test]
    fn costs_that_are_neither_given_nor_measured_are_asked_for() {
        let given = "--relay-cpu-us-per-event 5 --peak-tps 1000";
        assert!(gather(given, None).is_none());
        let inputs = gather(&format!("{given} --relay-rss-mib 60"), None).expect("all that must be known");
        assert_eq!(inputs.peak_tps, Input::given(1000.0));
        assert_eq!(inputs.walsender_cpu_us_per_event, None);
        assert!(matches!(inputs.wal_bytes_per_event.origin, Origin::Estimated(_)));
    }

    #[test]
    fn what_is_given_goes_before_what_was_measured() {
        let inputs = gather("--peak-tps 1000", Some(&Kept::example())).expect("results");
        assert_eq!(inputs.peak_tps, Input::given(1000.0));
        assert!((inputs.relay_cpu_us_per_event.value - 5.18).abs() < 1e-9);
        let told = "smoke, on 2026-11-28, 500000 rows, a processor, 2 cores, kafka.properties.linger.ms=1";
        assert_eq!(inputs.relay_cpu_us_per_event.origin, Origin::Measured(told.to_owned()));
    }

    #[test]
    fn larger_rows_take_as_much_more_wal() {
        let inputs = gather("--row-bytes 1000", Some(&Kept::example())).expect("results");
        assert!((inputs.wal_bytes_per_event.value - 1_094.0).abs() < 1e-9);
    }
}

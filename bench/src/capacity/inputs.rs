//! The numbers that go in, and where each comes from.

use serde::Serialize;

use super::measured::Measured;
use super::options::{CostOptions, LoadOptions};
use super::sizing::{Costs, Load, average_tps};
use super::storage;

/// About as large are the rows that smoke measures with.
pub(super) const MEASURED_ROW_BYTES: f64 = 600.0;

/// Where a number comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    Given,
    /// With the reason for it.
    Default(&'static str),
    Measured {
        by: By,
        told: String,
    },
    /// By a formula.
    Estimated(&'static str),
}

/// The sub-command that measured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// From a backlog, in full batches.
    Smoke,
    /// Under a live load.
    Steady,
    /// The highest rate that kept a latency.
    Search,
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

    pub(super) fn measured(value: f64, by: By, told: String) -> Input {
        Input {
            value,
            origin: Origin::Measured { by, told },
        }
    }

    /// Who measured it, if anybody did.
    pub(super) fn by(&self) -> Option<By> {
        match &self.origin {
            Origin::Measured { by, .. } => Some(*by),
            _ => None,
        }
    }

    /// What measured it, in words.
    pub(super) fn told(&self) -> Option<&str> {
        match &self.origin {
            Origin::Measured { told, .. } => Some(told),
            _ => None,
        }
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
    /// What was measured stands in for costs that are not given; `None` when a cost was neither given nor measured.
    pub(super) fn gather(load: &LoadOptions, costs: &CostOptions, measured: &Measured) -> Option<Inputs> {
        let or_measured = |given: Option<f64>, measured: Option<Input>| given.map(Input::given).or(measured);
        let peak_factor = Input::load(
            load.peak_factor,
            4.0,
            "a busy hour against the mean of a day; take your own",
        );
        let peak_tps = average_tps(load.events_per_day) * peak_factor.value;
        let row_bytes = Input::load(load.row_bytes, MEASURED_ROW_BYTES, "what smoke measures with");
        let retention_hours = Input::load(load.retention_hours, 168.0, "Kafka's own log.retention.hours");
        let outbox_retention_hours = Input::load(
            load.outbox_retention_hours,
            retention_hours.value,
            "as the topics: whatever Kafka has can be published again",
        );
        let mut wal_bytes = or_measured(costs.wal_bytes_per_event, measured.wal_bytes_per_event());
        if let (Some(wal_bytes), None) = (&mut wal_bytes, costs.wal_bytes_per_event) {
            // What is not the row itself stays the same.
            wal_bytes.value += row_bytes.value - MEASURED_ROW_BYTES;
        }
        Some(Inputs {
            events_per_day: Input::given(load.events_per_day),
            peak_factor,
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
                "no compression: measure that of your own payloads",
            ),
            relay_cpu_us_per_event: or_measured(
                costs.relay_cpu_us_per_event,
                measured.relay_cpu_us_per_event(peak_tps),
            )?,
            walsender_cpu_us_per_event: or_measured(
                costs.walsender_cpu_us_per_event,
                measured.walsender_cpu_us_per_event(peak_tps),
            ),
            peak_tps: or_measured(costs.peak_tps, measured.peak_tps())?,
            relay_rss_mib: or_measured(costs.relay_rss_mib, measured.relay_rss_mib())?,
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
        let measured = |value| Input::measured(value, By::Smoke, "a test".to_owned());
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::smoke::Kept;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        load: LoadOptions,
        #[command(flatten)]
        costs: CostOptions,
    }

    fn gather(arguments: &str, measured: &Measured) -> Option<Inputs> {
        let line = format!("capacity --events-per-day 1e7 {arguments}");
        let line = CommandLine::try_parse_from(line.split_whitespace()).expect("valid options");
        Inputs::gather(&line.load, &line.costs, measured)
    }

    fn smoke() -> Measured {
        Measured {
            smoke: Some(Kept::example()),
            ..Measured::default()
        }
    }

    #[test]
    fn costs_that_are_neither_given_nor_measured_are_asked_for() {
        let given = "--relay-cpu-us-per-event 5 --peak-tps 1000";
        assert!(gather(given, &Measured::default()).is_none());
        let inputs =
            gather(&format!("{given} --relay-rss-mib 60"), &Measured::default()).expect("all that must be known");
        assert_eq!(inputs.peak_tps, Input::given(1000.0));
        assert_eq!(inputs.walsender_cpu_us_per_event, None);
        assert!(matches!(inputs.wal_bytes_per_event.origin, Origin::Estimated(_)));
    }

    #[test]
    fn what_is_given_goes_before_what_was_measured() {
        let inputs = gather("--peak-tps 1000", &smoke()).expect("results");
        assert_eq!(inputs.peak_tps, Input::given(1000.0));
        assert!((inputs.relay_cpu_us_per_event.value - 5.18).abs() < 1e-9);
        let told = "smoke with 500000 rows, on 2026-11-28, a processor, 2 cores, kafka.properties.linger.ms=1";
        let (by, told) = (By::Smoke, told.to_owned());
        assert_eq!(inputs.relay_cpu_us_per_event.origin, Origin::Measured { by, told });
    }

    #[test]
    fn larger_rows_take_as_much_more_wal() {
        let inputs = gather("--row-bytes 1000", &smoke()).expect("results");
        assert!((inputs.wal_bytes_per_event.value - 1_094.0).abs() < 1e-9);
    }
}

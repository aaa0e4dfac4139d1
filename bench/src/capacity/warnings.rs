//! What does not fit, and what to do about it.

use super::inputs::{By, Inputs, MEASURED_ROW_BYTES};
use super::measured::FULL_BATCHES_TPS;
use super::report::bytes;
use super::sizing::Sizing;
use super::task::{USE_AT_PEAK_MAX, Verdict};

/// Rows that are so much larger or smaller cost something else.
const ROW_BYTES_FACTOR: f64 = 2.0;

/// One line for each.
pub(super) fn warnings(inputs: &Inputs, sizing: &Sizing) -> Vec<String> {
    let all = [
        above_peak(inputs, sizing),
        walsender(sizing),
        task(sizing),
        page_images(sizing),
        row_bytes(inputs),
        low_rate(inputs, sizing),
    ];
    all.into_iter().flatten().collect()
}

fn above_peak(inputs: &Inputs, sizing: &Sizing) -> Option<String> {
    let (needed, carried, slots) = (sizing.peak_tps, inputs.peak_tps.value, sizing.slots);
    let how = if needed > carried {
        "is above".to_owned()
    } else if slots > 1.0 {
        format!("is more than {:.0} % of", USE_AT_PEAK_MAX * 100.0)
    } else {
        return None;
    };
    let shared = match inputs.peak_tps.by() {
        Some(By::Search) => {
            "; in the measurement PostgreSQL, its writers, the broker and the relay shared one machine: measure on yours first"
        }
        _ => "",
    };
    Some(format!(
        "the peak of {needed:.0} events/s {how} the {carried:.0} that one relay carries: divide the outbox into {slots:.0} \
         tables, each with a publication, a slot and a relay of its own (each walsender still reads the whole WAL){shared}"
    ))
}

fn walsender(sizing: &Sizing) -> Option<String> {
    let cores = sizing.walsender_cores?.peak / sizing.slots;
    (cores > USE_AT_PEAK_MAX).then(|| {
        format!(
            "a walsender is one process and needs {cores:.2} of a core at peak: decoding falls behind when anything else \
             in the WAL grows"
        )
    })
}

fn task(sizing: &Sizing) -> Option<String> {
    let Some(task) = sizing.task else {
        return Some("no task on Fargate carries one relay at peak: divide the outbox, or take a machine".to_owned());
    };
    let (cpu_units, memory_mib) = sizing.container;
    (task.verdict == Verdict::TooBig).then(|| {
        format!(
            "even the smallest task that fits stays at {:.1} % CPU and {:.0} % memory at peak: let the relay share a task \
             as a sidecar, or where any size can be asked for give it {cpu_units:.0} CPU units and {memory_mib:.0} MiB",
            task.cpu_use * 100.0,
            task.memory_use * 100.0
        )
    })
}

fn page_images(sizing: &Sizing) -> Option<String> {
    (sizing.page_images_bytes_a_day > sizing.wal_bytes_a_day).then(|| {
        format!(
            "random ids spread over an index of {:.0} rows: whole pages after checkpoints add up to {} of WAL a day; ids \
             that grow with time (UUIDv7), wal_compression, a longer checkpoint_timeout or fewer rows kept lessen it",
            sizing.outbox_rows,
            bytes(sizing.page_images_bytes_a_day)
        )
    })
}

fn row_bytes(inputs: &Inputs) -> Option<String> {
    let factor = inputs.row_bytes.value / MEASURED_ROW_BYTES;
    let is_alike = (1.0 / ROW_BYTES_FACTOR..=ROW_BYTES_FACTOR).contains(&factor);
    let costs = [&inputs.relay_cpu_us_per_event, &inputs.peak_tps];
    (!is_alike && costs.into_iter().any(|cost| cost.by().is_some())).then(|| {
        format!(
            "costs were measured with rows of about {MEASURED_ROW_BYTES:.0} bytes; those of rows with {:.0} differ: \
             measure them and give them",
            inputs.row_bytes.value
        )
    })
}

fn low_rate(inputs: &Inputs, sizing: &Sizing) -> Option<String> {
    let is_drained = inputs.relay_cpu_us_per_event.by() == Some(By::Smoke);
    (sizing.peak_tps < FULL_BATCHES_TPS && is_drained).then(|| {
        format!(
            "the CPU time of an event was measured in full batches; at {:.0} events/s a wake-up carries few events, and \
             each costs many times as much: measure it with `steady --repetitions 5`, whose results count here then",
            sizing.peak_tps
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::inputs::Input;
    use super::super::sizing::size;
    use super::super::sizing::tests::{MEASURED, TEN_MILLION};
    use super::super::sizing::{Costs, Load};
    use super::*;

    fn of(load: &Load, costs: &Costs) -> Vec<String> {
        warnings(&Inputs::measured(load, costs), &size(load, costs))
    }

    fn has(warnings: &[String], text: &str) -> bool {
        warnings.iter().any(|warning| warning.contains(text))
    }

    #[test]
    fn a_peak_above_what_was_measured_is_divided() {
        let load = Load {
            events_per_day: 5e9,
            ..TEN_MILLION
        };
        let warnings = of(&load, &MEASURED);
        assert!(has(&warnings, "is above the 150000"), "{warnings:?}");
        assert!(has(&warnings, "into 3 tables"), "{warnings:?}");
    }

    #[test]
    fn a_peak_within_what_was_measured_but_without_a_margin_is_divided_too() {
        let load = Load {
            events_per_day: 2.5e9,
            ..TEN_MILLION
        };
        assert!(has(&of(&load, &MEASURED), "more than 70 % of the 150000"));
    }

    #[test]
    fn a_load_that_fits_its_task_has_nothing_said_against_it() {
        let load = Load {
            events_per_day: 600e6,
            outbox_retention_hours: 0.01,
            ..TEN_MILLION
        };
        // 27,778 events/s: 0.139 cores are 54 % of a quarter.
        assert_eq!(of(&load, &MEASURED), Vec::<String>::new());
    }

    #[test]
    fn a_small_load_is_told_that_its_task_is_too_big_and_its_cost_too_low() {
        let warnings = of(&TEN_MILLION, &MEASURED);
        assert!(has(&warnings, "even the smallest task"), "{warnings:?}");
        assert!(has(&warnings, "measured in full batches"), "{warnings:?}");
        assert!(has(&warnings, "UUIDv7"), "{warnings:?}");
    }

    #[test]
    fn what_was_measured_live_is_not_called_too_low_and_its_peak_is_that_of_a_shared_machine() {
        let load = Load {
            events_per_day: 90e6,
            ..TEN_MILLION
        };
        let costs = Costs {
            peak_tps: 4_000.0,
            ..MEASURED
        };
        let mut inputs = Inputs::measured(&load, &costs);
        inputs.peak_tps = Input::measured(4_000.0, By::Search, "a test".to_owned());
        inputs.relay_cpu_us_per_event = Input::measured(80.0, By::Steady, "a test".to_owned());
        let warnings = warnings(&inputs, &size(&load, &inputs.costs()));
        assert!(
            has(&warnings, "is above the 4000") && has(&warnings, "shared one machine"),
            "{warnings:?}"
        );
        assert!(!has(&warnings, "full batches"), "{warnings:?}");
        assert!(!has(&of(&load, &costs), "shared one machine"));
    }

    #[test]
    fn rows_of_another_size_are_told_that_costs_were_measured_with_600_bytes() {
        let load = Load {
            row_bytes: 10_000.0,
            ..TEN_MILLION
        };
        assert!(has(&of(&load, &MEASURED), "about 600 bytes"));
    }
}

//! How long a case takes, by criterion.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::Criterion;
use serde::{Deserialize, Serialize};

use super::cases::Case;
use crate::failure::Failure;

const WARM_UP: Duration = Duration::from_secs(1);
const SAMPLES: usize = 50;

/// Nanoseconds for one record.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Timing {
    pub(super) median_ns: f64,
    /// The median lies between these with 95 % confidence.
    pub(super) low_ns: f64,
    pub(super) high_ns: f64,
}

impl Timing {
    pub(super) fn records_per_s(self) -> f64 {
        1e9 / self.median_ns
    }
}

/// Measures a case on this thread; criterion compares it with the time before, which it keeps in `folder`.
pub(super) fn measure(case: Case, seconds: u32, folder: &Path) -> Result<Timing, Failure> {
    let mut criterion = Criterion::default()
        .without_plots()
        .output_directory(folder)
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP)
        .measurement_time(Duration::from_secs(seconds.into()));
    case.with_pass(|pass| {
        criterion.bench_function(case.name(), |bencher| bencher.iter(&mut *pass));
    });
    let estimates: PathBuf = [folder, Path::new(case.name()), Path::new("new/estimates.json")]
        .iter()
        .collect();
    let text = fs::read_to_string(&estimates).map_err(Failure::file("read", &estimates))?;
    timing(&text, case.records()).map_err(|error| Failure::content(&estimates, &error))
}

/// What criterion says of the time for a pass.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

fn timing(estimates: &str, records: u32) -> Result<Timing, serde_json::Error> {
    let Estimates { median } = serde_json::from_str(estimates)?;
    let records = f64::from(records);
    Ok(Timing {
        median_ns: median.point_estimate / records,
        low_ns: median.confidence_interval.lower_bound / records,
        high_ns: median.confidence_interval.upper_bound / records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_pass_is_divided_by_its_records() {
        let estimates = r#"{"mean": {"point_estimate": 9e9}, "median": {"confidence_interval":
            {"confidence_level": 0.95, "lower_bound": 90000.0, "upper_bound": 120000.0},
            "point_estimate": 100000.0, "standard_error": 1.0}}"#;
        let timing = timing(estimates, 400).expect("estimates");
        assert!((timing.median_ns - 250.0).abs() < 1e-9);
        assert!((timing.low_ns - 225.0).abs() < 1e-9);
        assert!((timing.high_ns - 300.0).abs() < 1e-9);
        assert!((timing.records_per_s() - 4e6).abs() < 1e-3);
    }
}

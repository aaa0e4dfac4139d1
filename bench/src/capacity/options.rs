//! The numbers that can be given.

use clap::Args;

/// What is to be carried. What is not given has a default, which the table names with its reason.
#[derive(Debug, Args)]
pub(crate) struct LoadOptions {
    /// Events that the applications write on a day
    #[arg(long, value_parser = positive)]
    pub(super) events_per_day: f64,
    /// How many times the average the peak is [default: 4]
    #[arg(long, value_parser = positive)]
    pub(super) peak_factor: Option<f64>,
    /// Bytes of a row, about as many as its record has [default: 600]
    #[arg(long, value_parser = positive)]
    pub(super) row_bytes: Option<f64>,
    /// How long topics keep records [default: 168]
    #[arg(long, value_parser = positive)]
    pub(super) retention_hours: Option<f64>,
    /// How long the outbox table keeps rows [default: as long as the topics]
    #[arg(long, value_parser = positive)]
    pub(super) outbox_retention_hours: Option<f64>,
    /// What one partition takes, in 1,000,000 bytes a second [default: 10]
    #[arg(long, value_parser = positive)]
    pub(super) partition_mb_per_s: Option<f64>,
    /// How long a consumer works on an event [default: 5]
    #[arg(long, value_parser = positive)]
    pub(super) consumer_ms_per_event: Option<f64>,
    /// Replicas of a partition [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) replication_factor: Option<u32>,
    /// How many times smaller records are once they are compressed [default: 1]
    #[arg(long, value_parser = positive)]
    pub(super) compression_ratio: Option<f64>,
}

/// What events cost. What is not given was measured by `smoke`, `steady` or `steady --search`.
#[derive(Debug, Args)]
pub(crate) struct CostOptions {
    /// CPU time of the relay for an event
    #[arg(long, value_parser = positive)]
    pub(super) relay_cpu_us_per_event: Option<f64>,
    /// CPU time of the server's walsender for an event
    #[arg(long, value_parser = positive)]
    pub(super) walsender_cpu_us_per_event: Option<f64>,
    /// Events a second that one relay carries
    #[arg(long, value_parser = positive)]
    pub(super) peak_tps: Option<f64>,
    /// The most memory that the relay has used
    #[arg(long, value_parser = positive)]
    pub(super) relay_rss_mib: Option<f64>,
    /// WAL that an event takes
    #[arg(long, value_parser = positive)]
    pub(super) wal_bytes_per_event: Option<f64>,
}

/// A number above zero.
fn positive(text: &str) -> Result<f64, String> {
    match text.replace('_', "").parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_above_zero_are_taken() {
        assert_eq!(positive("10_000_000"), Ok(1e7));
        assert_eq!(positive("1e7"), Ok(1e7));
        for text in ["0", "-1", "inf", "NaN", "many", ""] {
            assert!(positive(text).is_err(), "{text:?}");
        }
    }
}

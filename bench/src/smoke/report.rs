//! The results: a table for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::LARGE_ROW_BYTES;
use crate::drain::{Drain, Table};
use crate::failure::Failure;
use crate::median::median;
use crate::results::{Circumstances, Told};

/// Goals are held against what is printed: with two digits 1.395 would be 1.4.
const RATIO_DIGITS: usize = 3;

/// The same backlog drained by both, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    pub(super) recvlogical: Drain,
    pub(super) relay: Drain,
    pub(super) relay_over_tls: Option<Drain>,
}

impl Pair {
    /// In the order of the fields.
    pub(super) fn of(drains: Vec<Drain>) -> Pair {
        let mut drains = drains.into_iter();
        let mut next = || drains.next().expect("each of both has drained");
        Pair {
            recvlogical: next(),
            relay: next(),
            relay_over_tls: drains.next(),
        }
    }
}

/// What was measured on the backlog.
#[derive(Debug)]
pub(super) struct Backlogged {
    pub(super) pairs: Vec<Pair>,
    pub(super) wal_bytes_per_event: f64,
}

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) circumstances: Circumstances,
    pub(super) backlog: Vec<Pair>,
    /// WAL that a row of the backlog took, its part of the commit included. Earlier results lack it.
    #[serde(default)]
    pub(super) wal_bytes_per_event: Option<f64>,
    /// Rows that were committed one by one. Earlier results lack them.
    #[serde(default)]
    singles: Vec<Pair>,
    large_transaction: Drain,
    /// Of its rows, on the wire. Earlier results lack it: they had about 220.
    #[serde(default)]
    large_row_bytes: Option<u32>,
    starts_ms: Vec<f64>,
    pub(super) numbers: Numbers,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Numbers {
    pub(super) drain_events_per_s: f64,
    recvlogical_events_per_s: f64,
    drain_ratio: f64,
    pub(super) drain_cpu_us_per_event: f64,
    pub(super) rss_mib: f64,
    start_ms: f64,
    /// Over TLS against plain text, if both were measured.
    tls_ratio: Option<f64>,
    /// Of rows that were committed one by one, if they were measured.
    #[serde(default)]
    single_drain_events_per_s: Option<f64>,
    #[serde(default)]
    single_drain_ratio: Option<f64>,
}

impl Report {
    pub(super) fn new(
        circumstances: Circumstances,
        backlog: Backlogged,
        singles: Vec<Pair>,
        large: Drain,
        starts: Vec<f64>,
    ) -> Report {
        Report {
            circumstances,
            numbers: Numbers::of(&backlog.pairs, &singles, &large, &starts),
            singles,
            backlog: backlog.pairs,
            wal_bytes_per_event: Some(backlog.wal_bytes_per_event),
            large_transaction: large,
            large_row_bytes: Some(LARGE_ROW_BYTES),
            starts_ms: starts,
        }
    }

    /// What the walsender spends while the relay drains.
    pub(super) fn walsender_cpu_us_per_event(&self) -> f64 {
        median(self.backlog.iter().map(|pair| pair.relay.walsender.cpu_us_per_row))
    }

    /// A Markdown table with a line for each drain.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        for pair in &self.backlog {
            table.line("pg_recvlogical", &pair.recvlogical);
            table.line("relay", &pair.relay);
            if let Some(over_tls) = &pair.relay_over_tls {
                table.line("relay, TLS", over_tls);
            }
        }
        for pair in &self.singles {
            table.line("pg_recvlogical, single rows", &pair.recvlogical);
            table.line("relay, single rows", &pair.relay);
        }
        let large = format!("relay, one transaction, {LARGE_ROW_BYTES} B a row");
        table.line(&large, &self.large_transaction);
        let mut text = table.to_string();
        let starts: Vec<String> = self.starts_ms.iter().map(|start| format!("{start:.0}")).collect();
        let _ = write!(text, "\nStart to first record, ms: {}\n", starts.join(", "));
        if let Some(wal_bytes) = self.wal_bytes_per_event {
            let _ = writeln!(text, "WAL of a row of the backlog: {wal_bytes:.0} bytes");
        }
        let _ = writeln!(
            text,
            "Load average: {:.2} before, {:.2} after",
            self.circumstances.load_before, self.circumstances.load_after
        );
        text
    }

    /// Writes the results to a file of their own in a folder and says where.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let told = Told {
            tables: &self.table(),
            numbers: &self.numbers(),
        };
        self.circumstances.keep("smoke", folder, self, told)
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let numbers = self.numbers;
        let if_measured = |name: &str, value: Option<f64>, digits: usize| {
            value.map_or(String::new(), |value| format!("{name}={value:.digits$}\n"))
        };
        let tls = if_measured("tls_ratio", numbers.tls_ratio, RATIO_DIGITS);
        let single = if_measured("single_drain_events_per_s", numbers.single_drain_events_per_s, 0);
        let single_ratio = if_measured("single_drain_ratio", numbers.single_drain_ratio, RATIO_DIGITS);
        format!(
            "drain_events_per_s={:.0}\nrecvlogical_events_per_s={:.0}\ndrain_ratio={:.digits$}\n\
             drain_cpu_us_per_event={:.2}\nrss_mib={:.3}\nstart_ms={:.0}\n{single}{single_ratio}{tls}",
            numbers.drain_events_per_s,
            numbers.recvlogical_events_per_s,
            numbers.drain_ratio,
            numbers.drain_cpu_us_per_event,
            numbers.rss_mib,
            numbers.start_ms,
            digits = RATIO_DIGITS,
        )
    }
}

impl Numbers {
    fn of(pairs: &[Pair], singles: &[Pair], large: &Drain, starts_ms: &[f64]) -> Numbers {
        let over = |number: fn(&Pair) -> f64| median(pairs.iter().map(number));
        let over_tls = pairs.iter().filter_map(|pair| pair.relay_over_tls.as_ref());
        let relays = pairs.iter().map(|pair| &pair.relay).chain(over_tls).chain([large]);
        Numbers {
            drain_events_per_s: over(|pair| pair.relay.rows_per_s()),
            recvlogical_events_per_s: over(|pair| pair.recvlogical.rows_per_s()),
            drain_ratio: over(|pair| pair.relay.rows_per_s() / pair.recvlogical.rows_per_s()),
            drain_cpu_us_per_event: over(|pair| pair.relay.client.cpu_us_per_row),
            rss_mib: relays.map(|drain| drain.client.peak_rss_mib).fold(0.0, f64::max),
            start_ms: median(starts_ms.iter().copied()),
            tls_ratio: tls_ratio(pairs),
            single_drain_events_per_s: of_singles(singles, |pair| pair.relay.rows_per_s()),
            single_drain_ratio: of_singles(singles, |pair| pair.relay.rows_per_s() / pair.recvlogical.rows_per_s()),
        }
    }
}

fn of_singles(singles: &[Pair], number: fn(&Pair) -> f64) -> Option<f64> {
    (!singles.is_empty()).then(|| median(singles.iter().map(number)))
}

fn tls_ratio(pairs: &[Pair]) -> Option<f64> {
    let ratio = |pair: &Pair| Some(pair.relay_over_tls.as_ref()?.rows_per_s() / pair.relay.rows_per_s());
    let ratios: Vec<f64> = pairs.iter().filter_map(ratio).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Cost;

    fn drain(drain_s: f64, peak_rss_mib: f64) -> Drain {
        let client = Cost {
            cpu_us_per_row: 2.0 * drain_s,
            peak_rss_mib,
        };
        Drain {
            rows: 100_000,
            attach_s: 0.1,
            first_record_s: None,
            drain_s,
            start_cpu_s: 0.0,
            client,
            walsender: Cost::default(),
            broker: Cost::default(),
            load: 0.0,
        }
    }

    fn pair(recvlogical_s: f64, relay_s: f64, over_tls_s: Option<f64>) -> Pair {
        Pair {
            recvlogical: drain(recvlogical_s, 500.0),
            relay: drain(relay_s, 30.0),
            relay_over_tls: over_tls_s.map(|drain_s| drain(drain_s, 50.0)),
        }
    }

    fn report(pairs: Vec<Pair>, singles: Vec<Pair>) -> Report {
        let backlog = Backlogged {
            pairs,
            wal_bytes_per_event: 700.0,
        };
        let circumstances = Circumstances::example();
        Report::new(
            circumstances,
            backlog,
            singles,
            drain(9.0, 40.0),
            vec![60.0, 80.0, 70.0],
        )
    }

    fn has(numbers: &str, line: &str) -> bool {
        numbers.lines().any(|found| found == line)
    }

    #[test]
    fn ratios_are_made_pair_by_pair_before_the_median() {
        let pairs = vec![
            pair(3.0, 1.0, Some(2.0)),
            pair(2.0, 2.0, Some(2.5)),
            pair(4.0, 2.0, Some(8.0)),
        ];
        let numbers = report(pairs, vec![pair(5.0, 2.0, None)]).numbers();
        for line in [
            "drain_ratio=2.000",
            "tls_ratio=0.500",
            "single_drain_ratio=2.500",
            "start_ms=70",
        ] {
            assert!(has(&numbers, line), "{line} is not in\n{numbers}");
        }
    }

    #[test]
    fn the_peak_is_the_highest_of_all_drains_of_the_relay() {
        for (over_tls, peak) in [(None, "rss_mib=40.000"), (Some(1.0), "rss_mib=50.000")] {
            let numbers = report(vec![pair(1.0, 1.0, over_tls)], Vec::new()).numbers();
            assert!(has(&numbers, peak), "{numbers}");
            assert!(!numbers.contains("single_drain"), "{numbers}");
        }
    }

    #[test]
    fn a_ratio_just_below_its_goal_is_not_rounded_up_to_it() {
        let numbers = report(vec![pair(1.395, 1.0, None)], Vec::new()).numbers();
        assert!(has(&numbers, "drain_ratio=1.395"), "{numbers}");
    }
}

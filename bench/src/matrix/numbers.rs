//! What the turns of a case come to: medians, and ratios pair by pair.

use std::fmt::Write;

use serde::Serialize;

use super::measure::{Measured, Turn};
use crate::drain::Drain;
use crate::median::median;

const BYTES_PER_MB: f64 = 1e6;

/// Of one case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Numbers {
    pub(super) events_per_s: f64,
    /// Rows as they are on the wire.
    pub(super) mb_per_s: f64,
    /// What a row has on the wire.
    pub(super) row_bytes: f64,
    /// Events a second against `pg_recvlogical`, against the lazy reader and against the producer alone.
    pub(super) ratio: f64,
    /// Of the first of them, the lowest and the highest of all turns.
    pub(super) ratios: (f64, f64),
    pub(super) reader_ratio: f64,
    pub(super) producer_ratio: f64,
    /// Through another door against itself over TCP in plain text.
    pub(super) tcp_ratio: Option<f64>,
    pub(super) cpu_us_per_event: f64,
    pub(super) walsender_cpu_us_per_event: f64,
    pub(super) broker_cpu_us_per_event: f64,
    /// The highest of all turns.
    pub(super) rss_mib: f64,
}

impl Numbers {
    pub(super) fn of(turns: &[Turn]) -> Numbers {
        let over = |number: &dyn Fn(&Turn) -> f64| median(turns.iter().map(number));
        let against = |other: fn(&Turn) -> &Drain| over(&|turn| ratio(&turn.relay, other(turn)));
        let row_bytes = over(&|turn| turn.row_bytes);
        let events_per_s = over(&|turn| turn.relay.rows_per_s());
        Numbers {
            events_per_s,
            mb_per_s: mb_per_s(events_per_s, row_bytes),
            row_bytes,
            ratio: against(|turn| &turn.recvlogical),
            ratios: spread(turns.iter().map(|turn| ratio(&turn.relay, &turn.recvlogical))),
            reader_ratio: against(|turn| &turn.lazy_reader),
            producer_ratio: against(|turn| &turn.producer_alone),
            tcp_ratio: tcp_ratio(turns),
            cpu_us_per_event: over(&|turn| turn.relay.client.cpu_us_per_row),
            walsender_cpu_us_per_event: over(&|turn| turn.relay.walsender.cpu_us_per_row),
            broker_cpu_us_per_event: over(&|turn| turn.relay.broker.cpu_us_per_row),
            rss_mib: turns
                .iter()
                .map(|turn| turn.relay.client.peak_rss_mib)
                .fold(0.0, f64::max),
        }
    }

    /// `name=value` lines; `prefix` begins each name.
    pub(super) fn lines(&self, prefix: &str) -> String {
        let mut lines = format!(
            "{prefix}_events_per_s={:.0}\n{prefix}_mb_per_s={:.1}\n{prefix}_ratio={:.2}\n{prefix}_reader_ratio={:.2}\n\
             {prefix}_producer_ratio={:.2}\n{prefix}_cpu_us_per_event={:.2}\n{prefix}_walsender_cpu_us_per_event={:.2}\n\
             {prefix}_broker_cpu_us_per_event={:.2}\n{prefix}_rss_mib={:.1}\n",
            self.events_per_s,
            self.mb_per_s,
            self.ratio,
            self.reader_ratio,
            self.producer_ratio,
            self.cpu_us_per_event,
            self.walsender_cpu_us_per_event,
            self.broker_cpu_us_per_event,
            self.rss_mib,
        );
        if let Some(ratio) = self.tcp_ratio {
            let _ = writeln!(lines, "{prefix}_tcp_ratio={ratio:.2}");
        }
        lines
    }
}

/// Rows of so many bytes in MB/s.
pub(super) fn mb_per_s(rows_per_s: f64, row_bytes: f64) -> f64 {
    rows_per_s * row_bytes / BYTES_PER_MB
}

fn ratio(one: &Drain, other: &Drain) -> f64 {
    one.rows_per_s() / other.rows_per_s()
}

fn spread(ratios: impl Iterator<Item = f64>) -> (f64, f64) {
    ratios.fold((f64::INFINITY, 0.0), |(lowest, highest), ratio| {
        (f64::min(lowest, ratio), f64::max(highest, ratio))
    })
}

fn tcp_ratio(turns: &[Turn]) -> Option<f64> {
    let of_turn = |turn: &Turn| Some(ratio(&turn.relay, turn.relay_over_tcp.as_ref()?));
    let ratios: Vec<f64> = turns.iter().filter_map(of_turn).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

/// All cases; a single one needs no name.
pub(super) fn all(measured: &[Measured]) -> String {
    let lines = measured.iter().map(|one| {
        let prefix = match measured {
            [_] => "drain".to_owned(),
            _ => format!("drain_{}", one.planned.case.name()),
        };
        Numbers::of(&one.turns).lines(&prefix)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Cost;

    fn drain(drain_s: f64) -> Drain {
        let cost = Cost {
            cpu_us_per_row: 4.0,
            peak_rss_mib: 10.0 * drain_s,
        };
        Drain {
            rows: 1000,
            attach_s: 0.1,
            first_record_s: None,
            drain_s,
            start_cpu_s: 0.0,
            client: cost,
            walsender: cost,
            broker: cost,
            load: 0.0,
        }
    }

    /// The relay, and the others in seconds too.
    fn turn(relay: f64, recvlogical: f64, over_tcp: Option<f64>) -> Turn {
        Turn {
            row_bytes: 600.0,
            recvlogical: drain(recvlogical),
            lazy_reader: drain(1.0),
            producer_alone: drain(1.0),
            relay: drain(relay),
            relay_over_tcp: over_tcp.map(drain),
        }
    }

    fn is(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn ratios_are_made_pair_by_pair_before_the_median() {
        let turns = [turn(1.0, 3.0, None), turn(2.0, 2.0, None), turn(10.0, 20.0, None)];
        let numbers = Numbers::of(&turns);
        assert!(is(numbers.ratio, 2.0), "{numbers:?}");
        assert!(is(numbers.ratios.0, 1.0) && is(numbers.ratios.1, 3.0), "{numbers:?}");
        assert!(is(numbers.reader_ratio, 0.5), "{numbers:?}");
        assert_eq!(numbers.tcp_ratio, None);
    }

    #[test]
    fn megabytes_are_those_of_rows_on_the_wire_and_the_peak_is_the_highest() {
        let numbers = Numbers::of(&[turn(1.0, 1.0, None), turn(2.0, 1.0, None)]);
        assert!(is(numbers.mb_per_s, 750.0 * 600.0 / 1e6), "{numbers:?}");
        assert!(is(numbers.rss_mib, 20.0), "{numbers:?}");
    }

    #[test]
    fn another_door_is_compared_with_tcp() {
        let numbers = Numbers::of(&[turn(2.0, 1.0, Some(1.0))]);
        assert_eq!(numbers.tcp_ratio, Some(0.5));
        assert!(
            numbers.lines("drain").ends_with("drain_tcp_ratio=0.50\n"),
            "{numbers:?}"
        );
    }
}

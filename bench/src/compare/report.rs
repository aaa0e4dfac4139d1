//! The results: a table for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::live;
use super::peer::Peer;
use crate::drain::{Drain, Table};
use crate::failure::Failure;
use crate::median::median;
use crate::results::{Circumstances, Told};

/// The same backlog drained by all, one after the other.
#[derive(Debug, Serialize)]
pub(super) struct Turn {
    pub(super) relay: Drain,
    /// In the order of the peers.
    pub(super) peers: Vec<Drain>,
}

impl Turn {
    /// The relay's drain, and then the peers'.
    pub(super) fn of(drains: Vec<Drain>) -> Turn {
        let mut drains = drains.into_iter();
        Turn {
            relay: drains.next().expect("the relay has drained"),
            peers: drains.collect(),
        }
    }
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    debezium_overrides: Vec<String>,
    drains: Vec<Turn>,
    live: Vec<live::Turn>,
    compared: Vec<Compared>,
}

/// The relay and one peer.
#[derive(Debug, Serialize)]
struct Compared {
    label: &'static str,
    version: String,
    name: String,
    drain: DrainNumbers,
    live: Option<live::Numbers>,
    /// How much was published alike, or the first difference.
    records: Result<String, String>,
}

/// Medians over the pairs. A ratio is the relay's figure over the peer's.
#[derive(Debug, Clone, Copy, Serialize)]
struct DrainNumbers {
    events_per_s: f64,
    drain_ratio: f64,
    cpu_us_per_event: f64,
    cpu_ratio: f64,
    rss_mib: f64,
    rss_ratio: f64,
    start_ms: f64,
    relay_start_ms: f64,
}

impl Report {
    pub(super) fn new(
        circumstances: Circumstances,
        debezium_overrides: &[String],
        drains: Vec<Turn>,
        live: Vec<live::Turn>,
        peers: &[Peer],
        records: Vec<Result<String, String>>,
    ) -> Report {
        let compared = peers.iter().zip(records).enumerate().map(|(index, (peer, records))| {
            let pairs = drains
                .iter()
                .filter_map(|turn| Some((&turn.relay, turn.peers.get(index)?)));
            Compared {
                label: peer.label,
                version: peer.version.clone(),
                name: peer.carrier.name().to_owned(),
                drain: DrainNumbers::of(&pairs.collect::<Vec<_>>()),
                live: live::Numbers::of(&live, index),
                records,
            }
        });
        Report {
            circumstances,
            debezium_overrides: debezium_overrides.to_vec(),
            compared: compared.collect(),
            drains,
            live,
        }
    }

    /// A Markdown table with a line for each drain, and what was published.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        for turn in &self.drains {
            table.line("the relay", &turn.relay);
            for (compared, drain) in self.compared.iter().zip(&turn.peers) {
                table.line(&compared.name, drain);
            }
        }
        let mut text = table.to_string();
        text.push_str(&live::table(&self.live));
        for compared in &self.compared {
            let Compared { name, version, .. } = compared;
            let _ = match &compared.records {
                Ok(same) => write!(text, "\n{name} ({version}) and the relay: {same}\n"),
                Err(different) => write!(text, "\n{name} ({version}) and the relay DIFFER: {different}\n"),
            };
        }
        let _ = write!(
            text,
            "\nLoad average: {:.2} before, {:.2} after\n",
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
        self.circumstances.keep("compare", folder, self, told)
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let lines = self.compared.iter().map(|compared| {
            let label = compared.label;
            let live = compared.live.map_or(String::new(), |live| live.lines(label));
            let same = compared.records.is_ok();
            format!("{}{live}{label}_same_records={same}\n", compared.drain.lines(label))
        });
        lines.collect()
    }

    /// Whoever published something else did other work: the run has failed, its numbers notwithstanding.
    pub(super) fn expect_same_records(&self) -> Result<(), Failure> {
        let different = |compared: &Compared| {
            let difference = compared.records.as_ref().err()?;
            Some(format!("{} and the relay: {difference}", compared.name))
        };
        let differences: Vec<String> = self.compared.iter().filter_map(different).collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Failure::Different(differences.join("; ")))
    }
}

impl DrainNumbers {
    fn lines(&self, label: &str) -> String {
        format!(
            "{label}_drain_events_per_s={:.0}\n{label}_drain_ratio={:.4}\n\
             {label}_drain_cpu_us_per_event={:.2}\n{label}_cpu_ratio={:.5}\n\
             {label}_rss_mib={:.1}\n{label}_rss_ratio={:.5}\n\
             {label}_start_ms={:.0}\n{label}_relay_start_ms={:.0}\n",
            self.events_per_s,
            self.drain_ratio,
            self.cpu_us_per_event,
            self.cpu_ratio,
            self.rss_mib,
            self.rss_ratio,
            self.start_ms,
            self.relay_start_ms,
        )
    }

    fn of(pairs: &[(&Drain, &Drain)]) -> DrainNumbers {
        let of_peer = |figure: fn(&Drain) -> f64| median(pairs.iter().map(|(_, peer)| figure(peer)));
        let ratio = |figure: fn(&Drain) -> f64| median(pairs.iter().map(|(relay, peer)| figure(relay) / figure(peer)));
        let cpu = |drain: &Drain| drain.client.cpu_us_per_row;
        let rss = |drain: &Drain| drain.client.peak_rss_mib;
        let start_ms = |drain: &Drain| drain.start_to_first_record_s().unwrap_or_default() * 1e3;
        DrainNumbers {
            events_per_s: of_peer(Drain::rows_per_s),
            drain_ratio: ratio(Drain::rows_per_s),
            cpu_us_per_event: of_peer(cpu),
            cpu_ratio: ratio(cpu),
            rss_mib: of_peer(rss),
            rss_ratio: ratio(rss),
            start_ms: of_peer(start_ms),
            relay_start_ms: median(pairs.iter().map(|(relay, _)| start_ms(relay))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Cost;

    fn drain(drain_s: f64, cpu_us_per_row: f64, peak_rss_mib: f64) -> Drain {
        let client = Cost {
            cpu_us_per_row,
            peak_rss_mib,
        };
        Drain {
            rows: 100_000,
            attach_s: 2.0,
            first_record_s: Some(0.5),
            drain_s,
            start_cpu_s: 1.0,
            client,
            walsender: Cost::default(),
            broker: Cost::default(),
            load: 0.0,
        }
    }

    #[test]
    fn ratios_are_medians_of_the_pairs_and_the_relays_over_the_peers() {
        let pairs = [
            (drain(1.0, 5.0, 50.0), drain(4.0, 50.0, 500.0)),
            (drain(1.0, 5.0, 50.0), drain(8.0, 100.0, 1000.0)),
            (drain(2.0, 5.0, 50.0), drain(6.0, 60.0, 800.0)),
        ];
        let pairs: Vec<(&Drain, &Drain)> = pairs.iter().map(|(relay, peer)| (relay, peer)).collect();
        let numbers = DrainNumbers::of(&pairs);
        let close = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
        assert!(close(numbers.drain_ratio, 4.0), "{numbers:?}");
        assert!(close(numbers.cpu_ratio, 5.0 / 60.0), "{numbers:?}");
        assert!(close(numbers.rss_ratio, 0.0625), "{numbers:?}");
        assert!(close(numbers.start_ms, 2500.0), "{numbers:?}");
    }
}

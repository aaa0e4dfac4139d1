//! The results: a table for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::drain::{Cost, Drain};
use crate::failure::Failure;
use crate::machine::{self, Machine};
use crate::median::median;
use crate::results;

/// The same backlog drained by both, one after the other.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) recvlogical: Drain,
    pub(super) relay: Drain,
    pub(super) relay_over_tls: Option<Drain>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    finished_unix_s: u64,
    machine: Machine,
    relay_overrides: Vec<String>,
    load_before: f64,
    load_after: f64,
    backlog: Vec<Pair>,
    large_transaction: Drain,
    starts_ms: Vec<f64>,
    numbers: Numbers,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, Serialize)]
struct Numbers {
    drain_events_per_s: f64,
    recvlogical_events_per_s: f64,
    drain_ratio: f64,
    drain_cpu_us_per_event: f64,
    rss_mib: f64,
    start_ms: f64,
    /// Over TLS against plain text, if both were measured.
    tls_ratio: Option<f64>,
}

impl Report {
    pub(super) fn new(
        overrides: &[String],
        load_before: f64,
        pairs: Vec<Pair>,
        large: Drain,
        starts: Vec<f64>,
    ) -> Report {
        Report {
            finished_unix_s: results::now_unix_s(),
            machine: Machine::this(),
            relay_overrides: overrides.to_vec(),
            load_before,
            load_after: machine::load(),
            numbers: Numbers::of(&pairs, &large, &starts),
            backlog: pairs,
            large_transaction: large,
            starts_ms: starts,
        }
    }

    /// A Markdown table with a line for each drain.
    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| drained by | rows | rows/s | s | CPU µs a row: client | walsender | broker | peak MiB: client | \
             walsender | broker | attached after ms | first record after ms | load |\n\
             | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
        );
        for pair in &self.backlog {
            line(&mut table, "pg_recvlogical", &pair.recvlogical);
            line(&mut table, "relay", &pair.relay);
            if let Some(over_tls) = &pair.relay_over_tls {
                line(&mut table, "relay, TLS", over_tls);
            }
        }
        line(&mut table, "relay, one transaction", &self.large_transaction);
        let starts: Vec<String> = self.starts_ms.iter().map(|start| format!("{start:.0}")).collect();
        let _ = write!(table, "\nStart to first record, ms: {}\n", starts.join(", "));
        let _ = writeln!(
            table,
            "Load average: {:.2} before, {:.2} after",
            self.load_before, self.load_after
        );
        table
    }

    /// Writes the results to a file of their own and says where.
    pub(super) fn keep(&self) -> Result<PathBuf, Failure> {
        results::keep("smoke", self.finished_unix_s, self)
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        let numbers = self.numbers;
        let tls = numbers
            .tls_ratio
            .map_or(String::new(), |ratio| format!("tls_ratio={ratio:.2}\n"));
        format!(
            "drain_events_per_s={:.0}\nrecvlogical_events_per_s={:.0}\ndrain_ratio={:.2}\n\
             drain_cpu_us_per_event={:.2}\nrss_mib={:.1}\nstart_ms={:.0}\n{tls}",
            numbers.drain_events_per_s,
            numbers.recvlogical_events_per_s,
            numbers.drain_ratio,
            numbers.drain_cpu_us_per_event,
            numbers.rss_mib,
            numbers.start_ms,
        )
    }
}

impl Numbers {
    fn of(pairs: &[Pair], large: &Drain, starts_ms: &[f64]) -> Numbers {
        let over = |number: fn(&Pair) -> f64| median(pairs.iter().map(number));
        let relays = pairs.iter().map(|pair| &pair.relay).chain([large]);
        Numbers {
            drain_events_per_s: over(|pair| pair.relay.rows_per_s()),
            recvlogical_events_per_s: over(|pair| pair.recvlogical.rows_per_s()),
            drain_ratio: over(|pair| pair.relay.rows_per_s() / pair.recvlogical.rows_per_s()),
            drain_cpu_us_per_event: over(|pair| pair.relay.client.cpu_us_per_row),
            rss_mib: relays.map(|drain| drain.client.peak_rss_mib).fold(0.0, f64::max),
            start_ms: median(starts_ms.iter().copied()),
            tls_ratio: tls_ratio(pairs),
        }
    }
}

fn tls_ratio(pairs: &[Pair]) -> Option<f64> {
    let ratio = |pair: &Pair| Some(pair.relay_over_tls.as_ref()?.rows_per_s() / pair.relay.rows_per_s());
    let ratios: Vec<f64> = pairs.iter().filter_map(ratio).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

fn line(table: &mut String, name: &str, drain: &Drain) {
    let Drain {
        client,
        walsender,
        broker,
        ..
    } = drain;
    let cpu = |cost: &Cost| format!("{:.2}", cost.cpu_us_per_row);
    let peak = |cost: &Cost| format!("{:.1}", cost.peak_rss_mib);
    let _ = writeln!(
        table,
        "| {name} | {} | {:.0} | {:.2} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {:.2} |",
        drain.rows,
        drain.rows_per_s(),
        drain.drain_s,
        cpu(client),
        cpu(walsender),
        cpu(broker),
        peak(client),
        peak(walsender),
        peak(broker),
        drain.attach_s * 1e3,
        drain
            .first_record_s
            .map_or(String::new(), |first| format!("{:.0}", first * 1e3)),
        drain.load,
    );
}

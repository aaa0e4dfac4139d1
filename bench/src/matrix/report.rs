//! The results: a table for each case, and a file for comparisons.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::measure::Measured;
use super::numbers::{self, Numbers, mb_per_s};
use super::plan::LeftOut;
use crate::drain::{Cost, Drain};
use crate::failure::Failure;
use crate::results::{Circumstances, Told};

const HEAD: &str = "| | rows/s | MB/s | s | CPU s: client | walsender | broker | CPU µs a row: client | walsender | broker | \
     peak MiB: client | walsender | broker | load |\n\
     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n";

const SUMMARY_HEAD: &str = "| case | rows/s | MB/s | × pg_recvlogical | lowest to highest | × lazy reader | × producer alone | \
     CPU µs a row: relay | walsender | broker | peak MiB: relay |\n\
     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n";

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    rows_asked_for: u32,
    cases: Vec<Measured>,
    left_out: Vec<LeftOut>,
}

impl Report {
    pub(super) fn new(
        circumstances: Circumstances,
        rows_asked_for: u32,
        cases: Vec<Measured>,
        left_out: Vec<LeftOut>,
    ) -> Report {
        Report {
            circumstances,
            rows_asked_for,
            cases,
            left_out,
        }
    }

    /// A Markdown table for each case, and one of all.
    pub(super) fn tables(&self) -> String {
        let mut text = String::new();
        for measured in &self.cases {
            text.push_str(&self.table(measured));
        }
        text.push_str(SUMMARY_HEAD);
        for Measured { planned, turns } in &self.cases {
            text.push_str(&summary(&planned.case.title(), &Numbers::of(turns)));
        }
        text.push('\n');
        for LeftOut { case, why } in &self.left_out {
            let _ = writeln!(text, "Not measured: {case}: {why}");
        }
        let _ = writeln!(
            text,
            "Load average: {:.2} before, {:.2} after",
            self.circumstances.load_before, self.circumstances.load_after
        );
        text
    }

    fn table(&self, Measured { planned, turns }: &Measured) -> String {
        let numbers = Numbers::of(turns);
        let mut text = format!("### {}\n\n{} rows", planned.case.title(), planned.rows);
        if planned.rows != self.rows_asked_for {
            let _ = write!(
                text,
                " (not {}: whole transactions, at most 1 GiB)",
                self.rows_asked_for
            );
        }
        let _ = write!(text, ", {:.0} bytes each on the wire.\n\n{HEAD}", numbers.row_bytes);
        for turn in turns {
            let mut line = |name, drain| text.push_str(&line(name, drain, numbers.row_bytes));
            line("pg_recvlogical", &turn.recvlogical);
            line("lazy reader", &turn.lazy_reader);
            line("producer alone", &turn.producer_alone);
            line("relay", &turn.relay);
            if let Some(over_tcp) = &turn.relay_over_tcp {
                line("relay, TCP", over_tcp);
            }
        }
        let _ = write!(
            text,
            "\nThe relay against pg_recvlogical: {:.2}, the lazy reader: {:.2}, the producer alone: {:.2}",
            numbers.ratio, numbers.reader_ratio, numbers.producer_ratio
        );
        if let Some(ratio) = numbers.tcp_ratio {
            let _ = write!(text, ", itself over TCP: {ratio:.2}");
        }
        text.push_str("\n\n");
        text
    }

    /// Writes the results to a file of their own in a folder and says where.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let told = Told {
            tables: &self.tables(),
            numbers: &self.numbers(),
        };
        self.circumstances.keep("drain", folder, self, told)
    }

    /// One `name=value` a line.
    pub(super) fn numbers(&self) -> String {
        numbers::all(&self.cases)
    }
}

/// A case in one line.
fn summary(title: &str, numbers: &Numbers) -> String {
    let (lowest, highest) = numbers.ratios;
    format!(
        "| {title} | {:.0} | {:.1} | {:.2} | {lowest:.2} to {highest:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} |\n",
        numbers.events_per_s,
        numbers.mb_per_s,
        numbers.ratio,
        numbers.reader_ratio,
        numbers.producer_ratio,
        numbers.cpu_us_per_event,
        numbers.walsender_cpu_us_per_event,
        numbers.broker_cpu_us_per_event,
        numbers.rss_mib,
    )
}

fn line(name: &str, drain: &Drain, row_bytes: f64) -> String {
    let costs = [drain.client, drain.walsender, drain.broker];
    let each = |number: &dyn Fn(Cost) -> String| costs.map(number).join(" | ");
    let cpu_s = |cost: Cost| format!("{:.2}", cost.cpu_us_per_row * f64::from(drain.rows) / 1e6);
    format!(
        "| {name} | {:.0} | {:.1} | {:.2} | {} | {} | {} | {:.2} |\n",
        drain.rows_per_s(),
        mb_per_s(drain.rows_per_s(), row_bytes),
        drain.drain_s,
        each(&cpu_s),
        each(&|cost| format!("{:.2}", cost.cpu_us_per_row)),
        each(&|cost| format!("{:.1}", cost.peak_rss_mib)),
        drain.load,
    )
}

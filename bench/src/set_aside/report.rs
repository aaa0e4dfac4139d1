//! The results: a table for people, a file for comparisons, and the numbers that are looked for.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::drains::{BrokerJudged, RelayJudged};
use super::redrive::Redriven;
use crate::drain::{Drain, Table};
use crate::failure::Failure;
use crate::median::median;
use crate::results::{Circumstances, Told};

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    circumstances: Circumstances,
    relay_judged: Vec<RelayJudged>,
    broker_judged: Vec<BrokerJudged>,
    redriven: Redriven,
}

impl Report {
    pub(super) const fn new(
        circumstances: Circumstances,
        relay_judged: Vec<RelayJudged>,
        broker_judged: Vec<BrokerJudged>,
        redriven: Redriven,
    ) -> Report {
        Report {
            circumstances,
            relay_judged,
            broker_judged,
            redriven,
        }
    }

    /// A Markdown table with a line for each drain.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        for turn in &self.relay_judged {
            table.line("relay, no defect", &turn.plain);
            table.line("relay, 1 in 1,000 set aside by itself", &turn.set_aside);
            table.line("relay, delivery states", &turn.with_states);
        }
        for turn in &self.broker_judged {
            table.line("relay, no defect, smaller backlog", &turn.plain);
            table.line("relay, 1 in 1,000 refused by the broker", &turn.set_aside);
        }
        let mut text = table.to_string();
        let Redriven {
            letters,
            set_aside_s,
            marked_s,
            published_s,
            resolved_s,
        } = self.redriven;
        let _ = writeln!(
            text,
            "\n{letters} letters: set aside in {set_aside_s:.1} s; redriven: marked after {marked_s:.1} s, with the brokers after \
             {published_s:.1} s, told by the table after {resolved_s:.1} s"
        );
        let Circumstances {
            load_before,
            load_after,
            ..
        } = self.circumstances;
        let _ = writeln!(text, "Load average: {load_before:.2} before, {load_after:.2} after");
        text
    }

    /// Writes the results to a file of their own in a folder and says where.
    pub(super) fn keep(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let told = Told {
            tables: &self.table(),
            numbers: &self.numbers(),
        };
        self.circumstances.keep("set-aside", folder, self, told)
    }

    /// `name=value` lines.
    pub(super) fn numbers(&self) -> String {
        let of_relay = |way: fn(&RelayJudged) -> &Drain| {
            let ratios = self
                .relay_judged
                .iter()
                .map(|turn| way(turn).rows_per_s() / turn.plain.rows_per_s());
            median(ratios)
        };
        let of_broker = self.broker_judged.iter().map(|turn| turn.set_aside.rows_per_s());
        let seconds_each = self.broker_judged.iter().map(|turn| {
            let letters = f64::from(turn.plain.rows.saturating_sub(turn.set_aside.rows)).max(1.0);
            (turn.set_aside.drain_s - turn.plain.drain_s) / letters
        });
        let letters = f64::from(self.redriven.letters);
        format!(
            "set_aside_drain_ratio={:.3}\n\
             delivery_state_drain_ratio={:.3}\n\
             set_aside_by_broker_events_per_s={:.0}\n\
             set_aside_by_broker_seconds_each={:.2}\n\
             set_aside_letters_per_s={:.0}\n\
             redriven_letters_per_s={:.0}\n",
            of_relay(|turn| &turn.set_aside),
            of_relay(|turn| &turn.with_states),
            median(of_broker),
            median(seconds_each),
            letters / self.redriven.set_aside_s,
            letters / self.redriven.resolved_s,
        )
    }
}

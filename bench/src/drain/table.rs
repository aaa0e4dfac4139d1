//! Drains as a Markdown table, a line for each.

use std::fmt::{self, Write};

use super::{Cost, Drain};

const HEAD: &str = "| drained by | rows | rows/s | s | CPU µs a row: client | walsender | broker | peak MiB: client | \
     walsender | broker | attached after ms | CPU s until then | first record after ms | load |\n\
     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n";

/// A table that grows.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new() -> Table {
        Table(HEAD.to_owned())
    }

    pub(crate) fn line(&mut self, name: &str, drain: &Drain) {
        let Drain {
            client,
            walsender,
            broker,
            ..
        } = drain;
        let cpu = |cost: &Cost| format!("{:.2}", cost.cpu_us_per_row);
        let peak = |cost: &Cost| format!("{:.1}", cost.peak_rss_mib);
        let first_record = drain.first_record_s.map(|first| format!("{:.0}", first * 1e3));
        let _ = writeln!(
            self.0,
            "| {name} | {} | {:.0} | {:.2} | {} | {} | {} | {} | {} | {} | {:.0} | {:.2} | {} | {:.2} |",
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
            drain.start_cpu_s,
            first_record.unwrap_or_default(),
            drain.load,
        );
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

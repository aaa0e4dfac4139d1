//! Runs as Markdown tables, a line for each.

use std::fmt::Write;

use super::latency::Latency;
use super::measure::Steady;
use crate::median::median;

/// Names of what [`cells_of_cores`] has.
pub(super) const CORES_HEAD: &str = "CPU %: carrier | walsender | PostgreSQL's others | broker | bench | idle | stolen | \
     waits for a core %: carrier | walsender | broker |";
/// For its numbers.
pub(super) const CORES_RULE: &str = " --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |";

/// What was offered, and how well the writer kept to it.
pub(super) fn writing(runs: &[Steady]) -> String {
    let mut table = String::from(
        "| run | at rest after s | offered events/s | achieved | events | connections | begun late % | longest lag ms | never begun | \
         peak MiB: carrier | backlog growth | load |\n\
         | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (nth, run) in (1..).zip(runs) {
        let writer = &run.writer;
        let _ = writeln!(
            table,
            "| {nth} | {} | {} | {:.0} | {} | {} | {:.2} | {:.1} | {} | {:.1} | {:.0} | {:.2} |",
            rest(std::slice::from_ref(run)),
            run.load.rate_events_per_s,
            writer.achieved_events_per_s,
            run.events,
            run.load.connections,
            100.0 * writer.late_share,
            writer.max_lag_ms,
            writer.never_begun,
            run.peak_rss_mib,
            run.backlog_growth_events,
            run.load_average,
        );
    }
    table
}

/// How long the servers took to come to rest before the first run, as a cell.
pub(super) fn rest(runs: &[Steady]) -> String {
    let rest_s = runs.first().and_then(|run| run.rest_s);
    rest_s.map_or_else(|| "not at rest".to_owned(), |rest_s| format!("{rest_s:.1}"))
}

/// Who used the cores, and who waited for one.
pub(super) fn cores(runs: &[Steady]) -> String {
    let mut table = format!("\n| run | {CORES_HEAD}\n| --: |{CORES_RULE}\n");
    for (nth, run) in (1..).zip(runs) {
        let _ = writeln!(table, "| {nth} | {} |", cells_of_cores(std::slice::from_ref(run)));
    }
    table
}

/// Medians over the runs, as cells; nothing where the kernel does not say.
pub(super) fn cells_of_cores(runs: &[Steady]) -> String {
    let cpu = runs.iter().map(|run| run.cpu_percent).map(|cpu| {
        [
            cpu.carrier,
            cpu.walsender,
            cpu.backends,
            cpu.broker,
            cpu.bench,
            cpu.idle,
            cpu.stolen,
        ]
    });
    let waited = runs.iter().filter_map(|run| run.waited_for_a_core_percent);
    let waited = waited.map(|waited| [waited.carrier, waited.walsender, waited.broker]);
    [medians(&cpu.collect::<Vec<_>>()), medians(&waited.collect::<Vec<_>>())]
        .concat()
        .join(" | ")
}

/// The median of each column.
fn medians<const COLUMNS: usize>(rows: &[[f64; COLUMNS]]) -> Vec<String> {
    let column = |index: usize| {
        let values = rows.iter().map(|row| row[index]);
        if rows.is_empty() {
            String::new()
        } else {
            format!("{:.1}", median(values))
        }
    };
    (0..COLUMNS).map(column).collect()
}

pub(super) fn latencies(runs: &[Steady]) -> String {
    let mut table = String::from(
        "\n| run | from | to | p50 | p90 | p99 | p99.9 | max |\n| --: | --- | --- | --: | --: | --: | --: | --: |\n",
    );
    for (nth, run) in (1..).zip(runs) {
        let latencies = &run.latencies;
        let lines = [
            ("intended | consumer", Some(latencies.intended_to_consumer)),
            ("insert | consumer", Some(latencies.insert_to_consumer)),
            ("commit | consumer", Some(latencies.commit_to_consumer)),
            ("commit | ack", run.commit_to_ack),
            ("insert | commit", Some(latencies.insert_to_commit)),
        ];
        for (from_to, latency) in lines {
            let Some(Latency {
                p50_ms,
                p90_ms,
                p99_ms,
                p99_9_ms,
                max_ms,
            }) = latency
            else {
                continue;
            };
            let _ = writeln!(
                table,
                "| {nth} | {from_to} | {p50_ms:.2} | {p90_ms:.2} | {p99_ms:.2} | {p99_9_ms:.2} | {max_ms:.1} |"
            );
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{CpuPercent, Waited};
    use super::*;

    fn run(carrier: f64, waited: Option<f64>) -> Steady {
        Steady {
            cpu_percent: CpuPercent {
                carrier,
                stolen: 2.0 * carrier,
                ..CpuPercent::default()
            },
            waited_for_a_core_percent: waited.map(|carrier| Waited {
                carrier,
                walsender: 0.0,
                broker: 30.0,
            }),
            ..Steady::example(10, Latency::example(1.0, 2.0))
        }
    }

    #[test]
    fn each_cell_is_the_median_of_its_own() {
        let runs = [run(1.0, Some(9.0)), run(3.0, Some(5.0)), run(2.0, Some(7.0))];
        assert_eq!(
            cells_of_cores(&runs),
            "2.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 4.0 | 7.0 | 0.0 | 30.0"
        );
    }

    #[test]
    fn a_line_has_as_many_cells_as_the_head_where_the_kernel_says_nothing_too() {
        for runs in [[run(1.0, None)], [run(1.0, Some(1.0))]] {
            let table = cores(&runs);
            let columns: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert_eq!(columns, [0, 12, 12, 12], "{table}");
        }
    }
}

//! The sizing as Markdown, for people.

use std::fmt::Write;

use super::inputs::{Input, Inputs, Origin};
use super::sizing::{Cores, Sizing};
use super::task::{Task, USE_AT_PEAK_MAX, Verdict};

/// Inputs, needs, tasks and warnings.
pub(super) fn markdown(inputs: &Inputs, sizing: &Sizing, warnings: &[String]) -> String {
    let mut text = String::new();
    write_inputs(&mut text, inputs);
    write_needs(&mut text, sizing);
    write_tasks(&mut text, sizing);
    for warning in warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn write_inputs(text: &mut String, inputs: &Inputs) {
    text.push_str("| from | value | where it comes from |\n| --- | --: | --- |\n");
    let mut line = |name: &str, input: &Input| {
        let origin = match &input.origin {
            Origin::Given => "given".to_owned(),
            Origin::Default(reason) => format!("default: {reason}"),
            Origin::Measured { told, .. } => format!("measured: {told}"),
            Origin::Estimated(formula) => format!("estimate: {formula}"),
        };
        let _ = writeln!(text, "| {name} | {} | {origin} |", short(input.value));
    };
    line("events a day", &inputs.events_per_day);
    line("peak factor", &inputs.peak_factor);
    line("row, bytes", &inputs.row_bytes);
    line("topics keep, hours", &inputs.retention_hours);
    line("outbox keeps, hours", &inputs.outbox_retention_hours);
    line("a partition takes, MB/s", &inputs.partition_mb_per_s);
    line("a consumer's time for an event, ms", &inputs.consumer_ms_per_event);
    line("replicas", &inputs.replication_factor);
    line("compression, times", &inputs.compression_ratio);
    line("relay, CPU µs an event", &inputs.relay_cpu_us_per_event);
    if let Some(walsender) = &inputs.walsender_cpu_us_per_event {
        line("walsender, CPU µs an event", walsender);
    }
    line("one relay carries, events/s", &inputs.peak_tps);
    line("relay, peak memory MiB", &inputs.relay_rss_mib);
    line("WAL, bytes an event", &inputs.wal_bytes_per_event);
}

fn write_needs(text: &mut String, sizing: &Sizing) {
    let unknown = || "unknown".to_owned();
    let cores = |Cores { average, peak }: Cores| format!("{average:.4} and {peak:.4}");
    let margin = USE_AT_PEAK_MAX * 100.0;
    text.push_str("\n| needed | value | how |\n| --- | --: | --- |\n");
    let mut line = |name: &str, value: String, how: &str| {
        let _ = writeln!(text, "| {name} | {value} | {how} |");
    };
    let tps = format!("{} and {}", short(sizing.average_tps), short(sizing.peak_tps));
    line("events/s, average and peak", tps, "a day has 86,400 s; the peak factor");
    let headroom = format!("{} times", short(sizing.headroom));
    line("headroom", headroom, "what one relay carries, against the peak");
    let how = format!("none used above {margin:.0} %");
    line("slots, each with a relay", short(sizing.slots), &how);
    line(
        "relay cores, average and peak",
        cores(sizing.relay_cores),
        "events/s × CPU time",
    );
    let walsender = sizing.walsender_cores.map_or_else(unknown, cores);
    line(
        "walsender cores, average and peak",
        walsender,
        "the same; other tables' WAL comes on top",
    );
    line(
        "WAL a day",
        bytes(sizing.wal_bytes_a_day),
        "events × WAL an event; deleting rows comes on top",
    );
    let images = bytes(sizing.page_images_bytes_a_day);
    line(
        "page images a day",
        images,
        "estimate: random ids, checkpoints each 5 min, no wal_compression",
    );
    let held = bytes(sizing.wal_bytes_an_hour_at_peak);
    line(
        "WAL that an absent relay holds back an hour",
        held,
        "at peak, without page images",
    );
    let how = format!(
        "{} rows, tuple and page headers, primary key, a fifth dead",
        short(sizing.outbox_rows)
    );
    line("outbox table", bytes(sizing.outbox_bytes), &how);
    line(
        "Kafka a day",
        bytes(sizing.kafka_bytes_a_day),
        "events × row bytes, compressed",
    );
    line(
        "Kafka stored",
        bytes(sizing.kafka_bytes_stored),
        "over all replicas and the retention",
    );
    let how = format!("time an event at peak, {margin:.0} % used");
    line("consumer instances", short(sizing.consumers), &how);
    let how = format!(
        "{} for the bytes at peak, {} for the consumers",
        short(sizing.partitions_for_throughput),
        short(sizing.consumers)
    );
    line("partitions", short(sizing.partitions), &how);
    let (cpu_units, memory_mib) = sizing.container;
    let task = sizing.task.map_or_else(unknown, |task| size(&task));
    let how =
        format!("the smallest on Fargate; {cpu_units:.0} CPU units and {memory_mib:.0} MiB where any can be asked for");
    line("task for one relay", task, &how);
}

fn write_tasks(text: &mut String, sizing: &Sizing) {
    text.push_str("\n| task | CPU at peak | memory | |\n| --- | --: | --: | --- |\n");
    for task in &sizing.tasks {
        let verdict = verdict(task, sizing.task.as_ref());
        let (cpu, memory) = (task.cpu_use * 100.0, task.memory_use * 100.0);
        let _ = writeln!(text, "| {} | {cpu:.1} % | {memory:.1} % | {verdict} |", size(task));
    }
}

/// Why this one and not its neighbours.
fn verdict(task: &Task, smallest: Option<&Task>) -> String {
    let margin = USE_AT_PEAK_MAX * 100.0;
    match task.verdict {
        Verdict::TooSmall if task.cpu_use > USE_AT_PEAK_MAX => format!("too small: more than {margin:.0} % of its CPU"),
        Verdict::TooSmall => format!("too small: more than {margin:.0} % of its memory"),
        Verdict::Fits | Verdict::TooBig if smallest != Some(task) => "larger than needed".to_owned(),
        Verdict::Fits => "take this: the smallest that carries it".to_owned(),
        Verdict::TooBig => "take this: the smallest that carries it, and hardly used".to_owned(),
    }
}

fn size(task: &Task) -> String {
    format!("{} CPU units, {} MiB", task.cpu_units, task.memory_mib)
}

/// Three digits are enough for a plan; whole numbers are shown whole.
fn short(number: f64) -> String {
    if number.fract() == 0.0 || number >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// A number of bytes in the largest unit that leaves at least one of it.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = UNITS.into_iter().find(|&(size, _)| bytes >= size);
    unit.map_or_else(
        || format!("{bytes:.0} B"),
        |(size, name)| format!("{:.1} {name}", bytes / size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_told_with_the_reason() {
        let [smaller, taken, larger] = [0.8, 0.4, 0.2].map(|cpu_use| Task {
            cpu_units: 256,
            memory_mib: 512,
            cpu_use,
            memory_use: 0.1,
            verdict: if cpu_use > USE_AT_PEAK_MAX {
                Verdict::TooSmall
            } else {
                Verdict::Fits
            },
        });
        assert_eq!(verdict(&smaller, Some(&taken)), "too small: more than 70 % of its CPU");
        assert_eq!(verdict(&taken, Some(&taken)), "take this: the smallest that carries it");
        assert_eq!(verdict(&larger, Some(&taken)), "larger than needed");
    }

    #[test]
    fn bytes_are_told_in_a_unit_that_can_be_read() {
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(7.5e9), "7.5 GB");
        assert_eq!(bytes(1.26e11), "126.0 GB");
        assert_eq!(bytes(2e15), "2.0 PB");
    }

    #[test]
    fn numbers_have_no_digits_that_nobody_needs() {
        assert_eq!(short(4.0), "4");
        assert_eq!(short(115.74), "116");
        assert_eq!(short(5.178), "5.18");
    }
}

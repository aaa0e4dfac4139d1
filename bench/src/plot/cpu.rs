//! `cpu.svg`: CPU time an event, of each process that a drain keeps busy.

use plotters::style::RGBColor;

use super::Plot;
use super::bars::{Bar, Bars, Panel};
use super::drain::backlog;
use super::frame::Frame;
use super::kept::{Drain, Smoke};
use super::number::{count, medians_of, short};
use super::palette::{OTHER, OTHER_PALE, RELAY};
use crate::failure::Failure;
use crate::median::median;

/// A process, and its CPU time an event.
type Process = (&'static str, RGBColor, fn(&Drain) -> f64);

const PROCESSES: [Process; 3] = [
    ("the client itself", RELAY, |drain| drain.client.cpu_us_per_row),
    ("PostgreSQL's walsender", OTHER, |drain| drain.walsender.cpu_us_per_row),
    ("the Kafka broker", OTHER_PALE, |drain| drain.broker.cpu_us_per_row),
];

pub(super) fn plot(smoke: &Smoke, file: &str) -> Result<Plot, Failure> {
    let bars = Bars {
        panels: vec![panel(smoke)],
        columns: 1,
        common_scale: false,
    };
    let relay = median(smoke.backlog.iter().map(|pair| pair.relay.client.cpu_us_per_row));
    let legend = PROCESSES.map(|(name, colour, _)| (name.to_owned(), colour));
    let frame = Frame {
        title: format!("An event costs the relay {} µs of CPU", short(relay)),
        subtitle: format!("{}, drained", backlog(smoke.backlog.first().map(|pair| &pair.relay))),
        legend: legend.to_vec(),
        small_print: vec![
            format!(
                "User and system time. {} by each, process by process; the large transaction is drained once.",
                medians_of(smoke.backlog.len(), "drain")
            ),
            smoke.circumstances.small_print(file),
        ],
    };
    frame.plot("cpu.svg", bars.height(), |canvas, top| bars.draw(canvas, top))
}

fn panel(smoke: &Smoke) -> Panel {
    let pairs = &smoke.backlog;
    let large_rows = smoke.large_transaction.as_ref().map_or(0, |drain| drain.rows);
    let large = format!("outbox-relay, {} in one transaction", count(large_rows, "small row"));
    let over_tls = pairs.iter().filter_map(|pair| pair.relay_over_tls.as_ref());
    let by: [(&str, Vec<&Drain>); 4] = [
        (
            "pg_recvlogical, which publishes nothing",
            pairs.iter().map(|pair| &pair.recvlogical).collect(),
        ),
        ("outbox-relay", pairs.iter().map(|pair| &pair.relay).collect()),
        ("outbox-relay, TLS", over_tls.collect()),
        (&large, smoke.large_transaction.iter().collect()),
    ];
    Panel {
        heading: "CPU an event".to_owned(),
        hint: "µs, less is better".to_owned(),
        bars: by.iter().filter_map(|(name, drains)| bar(name, drains)).collect(),
    }
}

fn bar(name: &str, drains: &[&Drain]) -> Option<Bar> {
    let of_process = |(_, colour, cpu): Process| (median(drains.iter().map(|drain| cpu(drain))), colour);
    let parts = PROCESSES.map(of_process);
    let shown: Vec<String> = parts.iter().map(|(cpu, _)| format!("{cpu:.1}")).collect();
    (!drains.is_empty()).then(|| Bar {
        name: name.to_owned(),
        parts: parts.to_vec(),
        number: shown.join(" + "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::kept::Kept;

    #[test]
    fn processes_are_stacked_and_what_was_not_measured_has_no_bar() {
        let drain = |client: f64| {
            format!(
                r#"{{"rows": 1000, "drain_s": 0.5, "client": {{"cpu_us_per_row": {client}, "peak_rss_mib": 1}},
                    "walsender": {{"cpu_us_per_row": 2.5, "peak_rss_mib": 1}}}}"#
            )
        };
        let text = format!(
            r#"{{"backlog": [{{"recvlogical": {}, "relay": {}}}]}}"#,
            drain(1.5),
            drain(4.0)
        );
        let Kept::Smoke(smoke) = Kept::parse(&text).expect("results") else {
            panic!("not of smoke");
        };
        let numbers: Vec<String> = panel(&smoke).bars.into_iter().map(|bar| bar.number).collect();
        assert_eq!(numbers, ["1.5 + 2.5 + 0.0", "4.0 + 2.5 + 0.0"]);
    }
}

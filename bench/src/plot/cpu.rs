//! `cpu.svg`: CPU time an event, of each process that a drain keeps busy.

use plotters::style::RGBColor;

use super::Plot;
use super::bars::{Bar, Bars, Panel};
use super::drain::backlog;
use super::frame::Frame;
use super::kept::{Drain, Smoke};
use super::number::{count, medians_of, short, with_commas};
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
    let large = large(smoke);
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

fn large(smoke: &Smoke) -> String {
    let rows = smoke.large_transaction.as_ref().map_or(0, |drain| drain.rows);
    let rows = match smoke.large_row_bytes {
        Some(bytes) => format!("{} of {} bytes", count(rows, "row"), with_commas(f64::from(bytes))),
        None => count(rows, "small row"),
    };
    format!("outbox-relay, {rows} in one transaction")
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

    fn drain(client: f64) -> String {
        format!(
            r#"{{"rows": 1000, "drain_s": 0.5, "client": {{"cpu_us_per_row": {client}, "peak_rss_mib": 1}},
                "walsender": {{"cpu_us_per_row": 2.5, "peak_rss_mib": 1}}}}"#
        )
    }

    /// With one pair of drains, and what else there is.
    fn smoke(and: &str) -> Smoke {
        let pair = format!(r#"{{"recvlogical": {}, "relay": {}}}"#, drain(1.5), drain(4.0));
        match Kept::parse(&format!(r#"{{"backlog": [{pair}]{and}}}"#)).expect("results") {
            Kept::Smoke(smoke) => smoke,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn processes_are_stacked_and_what_was_not_measured_has_no_bar() {
        let numbers: Vec<String> = panel(&smoke("")).bars.into_iter().map(|bar| bar.number).collect();
        assert_eq!(numbers, ["1.5 + 2.5 + 0.0", "4.0 + 2.5 + 0.0"]);
    }

    #[test]
    fn the_large_transaction_says_how_large_its_rows_are() {
        let and = |more: &str| format!(r#", "large_transaction": {}{more}"#, drain(3.0));
        let name = |smoke: Smoke| panel(&smoke).bars.pop().map(|bar| bar.name);
        let large = smoke(&and(r#", "large_row_bytes": 1024"#));
        assert_eq!(
            name(large).as_deref(),
            Some("outbox-relay, 1,000 rows of 1,024 bytes in one transaction")
        );
        assert_eq!(
            name(smoke(&and(""))).as_deref(),
            Some("outbox-relay, 1,000 small rows in one transaction")
        );
    }
}

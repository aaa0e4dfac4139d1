//! `overview.svg`: the relay against whom it was compared with, in one run.

use super::Plot;
use super::bars::{Bar, Bars, Panel};
use super::drain::backlog;
use super::frame::Frame;
use super::kept::{Compare, Compared, Drain, Turn};
use super::number::{medians_of, ratio, short};
use super::palette::{OTHER, RELAY};
use crate::failure::Failure;
use crate::median::median;

pub(super) fn plot(compare: &Compare, file: &str) -> Result<Plot, Failure> {
    let bars = Bars {
        panels: panels(compare),
        columns: 4,
        common_scale: false,
    };
    let frame = Frame {
        title: title(&compare.compared),
        subtitle: subtitle(compare),
        legend: Vec::new(),
        small_print: small_print(compare, file),
    };
    frame.plot("overview.svg", bars.height(), |canvas, top| bars.draw(canvas, top))
}

fn panels(compare: &Compare) -> Vec<Panel> {
    let (drains, compared) = (&compare.drains, &compare.compared);
    let latency = if compare.live.is_empty() {
        panel(
            "Start to first record",
            "ms, less is better",
            drains,
            compared,
            Drain::start_to_first_record_ms,
        )
    } else {
        panel(
            "Insert to consumer",
            "p99, ms, less is better",
            &compare.live,
            compared,
            |run| Some(run.latencies.insert_to_consumer.p99_ms),
        )
    };
    vec![
        panel("Events a second", "more is better", drains, compared, |drain| {
            Some(drain.events_per_s())
        }),
        panel("CPU an event", "µs, less is better", drains, compared, |drain| {
            Some(drain.client.cpu_us_per_row)
        }),
        panel("Memory", "MiB at its peak, less is better", drains, compared, |drain| {
            Some(drain.client.peak_rss_mib)
        }),
        latency,
    ]
}

/// Medians over the turns; whoever lacks the figure has no bar.
fn panel<M>(
    heading: &str,
    hint: &str,
    turns: &[Turn<M>],
    compared: &[Compared],
    figure: impl Fn(&M) -> Option<f64>,
) -> Panel {
    let bar = |name: &str, colour, figures: Vec<f64>| {
        let value = (!figures.is_empty()).then(|| median(figures))?;
        Some(Bar::plain(name, value, colour, short(value)))
    };
    let of_relay = turns.iter().filter_map(|turn| figure(&turn.relay)).collect();
    let others = compared.iter().enumerate().filter_map(|(index, other)| {
        let figures = turns.iter().filter_map(|turn| figure(turn.peers.get(index)?));
        bar(&other.name, OTHER, figures.collect())
    });
    Panel {
        heading: heading.to_owned(),
        hint: hint.to_owned(),
        bars: bar("outbox-relay", RELAY, of_relay).into_iter().chain(others).collect(),
    }
}

/// The conclusion, against the first of them. Who publishes other records does other work.
fn title(compared: &[Compared]) -> String {
    let Some(first) = compared.first() else {
        return "outbox-relay, compared with nobody".to_owned();
    };
    if first.records.is_err() {
        return format!("Not comparable: {} published other records", first.name);
    }
    let ratios = [
        (first.drain.drain_ratio, "events"),
        (first.drain.cpu_ratio, "CPU"),
        (first.drain.rss_ratio, "memory"),
    ];
    let parts = ratios.into_iter().filter_map(|(figure, of)| Some(ratio(figure?, of)));
    match parts.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => format!("outbox-relay, compared with {}", first.name),
        parts => format!("{parts} of {}", first.name),
    }
}

fn subtitle(compare: &Compare) -> String {
    format!(
        "{}, to Kafka; all on {}",
        backlog(compare.drains.first().map(|turn| &turn.relay)),
        compare.circumstances.machine()
    )
}

fn small_print(compare: &Compare, file: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{} by each, taking turns; ratios are medians of the pairs. CPU and memory are the relay's or its \
         counterpart's alone, without PostgreSQL and the one broker.",
        medians_of(compare.drains.len(), "drain")
    )];
    if let Some(run) = compare.live.first() {
        let load = run.relay.load;
        lines.push(format!(
            "Insert to consumer at {} events/s, {} a transaction.",
            short(load.rate_events_per_s),
            load.rows_per_transaction
        ));
    }
    lines.extend(compare.compared.iter().map(|other| match &other.records {
        Ok(_) => format!("{}: the same records, the same order for each key.", exactly(other)),
        Err(_) => format!("{} PUBLISHED OTHER RECORDS: not comparable.", exactly(other)),
    }));
    lines.push(compare.circumstances.small_print(file));
    lines
}

/// A version, or a whole command line, which says less.
fn exactly(other: &Compared) -> &str {
    let is_version = other.version.starts_with(&other.name);
    if is_version { &other.version } else { &other.name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::kept::Kept;

    const EXAMPLE: &str = r#"{
        "finished_unix_s": 1795846258, "machine": {"processor": "a processor", "cores": 2, "kernel": "6"},
        "drains": [{
            "relay": {"rows": 200000, "attach_s": 0.02, "first_record_s": 0.05, "drain_s": 2.0,
                "client": {"cpu_us_per_row": 4.0, "peak_rss_mib": 30.0}},
            "peers": [{"rows": 200000, "attach_s": 7.0, "first_record_s": 0.5, "drain_s": 16.0,
                "client": {"cpu_us_per_row": 80.0, "peak_rss_mib": 450.0}}]}],
        "compared": [{"label": "debezium", "version": "Debezium Server 3.6.1.Final, Java 25", "name": "Debezium Server",
            "drain": {"drain_ratio": 8.0, "cpu_ratio": 0.05, "rss_ratio": 0.066}, "records": {"Ok": "the same"}}]
    }"#;

    fn compare(text: &str) -> Compare {
        match Kept::parse(text).expect("results") {
            Kept::Compare(compare) => compare,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_title_is_the_conclusion() {
        assert_eq!(
            title(&compare(EXAMPLE).compared),
            "8.0× the events, 1/20 of the CPU, 1/15 of the memory of Debezium Server"
        );
    }

    #[test]
    fn what_was_too_little_to_be_seen_is_not_concluded_from() {
        let without_cpu = EXAMPLE.replace("\"cpu_ratio\": 0.05", "\"cpu_ratio\": null");
        assert_eq!(
            title(&compare(&without_cpu).compared),
            "8.0× the events, 1/15 of the memory of Debezium Server"
        );
    }

    #[test]
    fn nothing_is_concluded_from_other_records() {
        let different = compare(&EXAMPLE.replace(r#"{"Ok": "the same"}"#, r#"{"Err": "a record is missing"}"#));
        assert_eq!(
            title(&different.compared),
            "Not comparable: Debezium Server published other records"
        );
    }

    #[test]
    fn each_panel_has_a_bar_for_the_relay_and_for_the_other() {
        let panels = panels(&compare(EXAMPLE));
        let numbers = |panel: &Panel| panel.bars.iter().map(|bar| bar.number.clone()).collect::<Vec<_>>();
        let shown: Vec<_> = panels.iter().map(numbers).collect();
        assert_eq!(
            shown,
            [["100,000", "12,500"], ["4.0", "80"], ["30", "450"], ["70", "7,500"]]
        );
    }

    #[test]
    fn the_plot_holds_the_file_it_was_made_from() {
        let plot = plot(&compare(EXAMPLE), "compare-1795846258.json").expect("a plot");
        assert!(plot.svg.contains("compare-1795846258.json"), "{}", plot.svg);
    }
}

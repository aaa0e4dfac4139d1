//! `drain.svg`: the relay against `pg_recvlogical`, pair by pair.

use super::Plot;
use super::bars::{Bar, Bars, Panel};
use super::frame::Frame;
use super::kept::{Drain, Pair, Smoke};
use super::number::{count, ratio, short};
use super::palette::{OTHER, RELAY, RELAY_PALE};
use crate::failure::Failure;
use crate::median::median;

/// What `smoke` and `compare` fill in.
const ROWS: &str = "of about 600 bytes, 100 a transaction";
const COLUMNS: u32 = 4;

pub(super) fn plot(smoke: &Smoke, file: &str) -> Result<Plot, Failure> {
    let bars = Bars {
        panels: (1..).zip(&smoke.backlog).map(|(nth, pair)| panel(nth, pair)).collect(),
        columns: u32::try_from(smoke.backlog.len()).unwrap_or(COLUMNS).clamp(1, COLUMNS),
        common_scale: true,
    };
    let frame = Frame {
        title: title(&smoke.backlog),
        subtitle: format!(
            "{}, to one Kafka broker; pg_recvlogical publishes nothing",
            backlog(smoke.backlog.first().map(|pair| &pair.relay))
        ),
        legend: Vec::new(),
        small_print: vec![
            "The ratio above is the median of the pairs. All bars have one scale.".to_owned(),
            smoke.circumstances.small_print(file),
        ],
    };
    frame.plot("drain.svg", bars.height(), |canvas, top| bars.draw(canvas, top))
}

/// What was drained.
pub(super) fn backlog(drain: Option<&Drain>) -> String {
    let rows = drain.map_or(0, |drain| drain.rows);
    format!("{} {ROWS}", count(rows, "row"))
}

fn title(pairs: &[Pair]) -> String {
    let relay = median(pairs.iter().map(|pair| pair.relay.events_per_s()));
    format!(
        "{} events a second, {} of pg_recvlogical",
        short(relay),
        ratio(median(pairs.iter().map(pair_ratio)), "speed")
    )
}

fn pair_ratio(pair: &Pair) -> f64 {
    pair.relay.events_per_s() / pair.recvlogical.events_per_s()
}

fn panel(nth: u32, pair: &Pair) -> Panel {
    let drains = [
        ("outbox-relay", Some(&pair.relay), RELAY),
        ("pg_recvlogical", Some(&pair.recvlogical), OTHER),
        ("outbox-relay, TLS", pair.relay_over_tls.as_ref(), RELAY_PALE),
    ];
    let bars = drains.into_iter().filter_map(|(name, drain, colour)| {
        let events_per_s = drain?.events_per_s();
        Some(Bar::plain(name, events_per_s, colour, short(events_per_s)))
    });
    Panel {
        heading: format!("Pair {nth}: {:.2}×", pair_ratio(pair)),
        hint: "events/s, more is better".to_owned(),
        bars: bars.collect(),
    }
}

//! `latency.svg`: percentiles of the latencies at one rate.

use std::ops::Range;

use plotters::prelude::{Circle, EmptyElement, LineSeries, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

use super::Plot;
use super::canvas::{Area, DrawingFailed, style};
use super::chart::{self, Bottom, HEIGHT, NUMBER};
use super::frame::{Frame, MARGIN};
use super::kept::{Latency, Run, Steady};
use super::number::{duration, medians_of, with_commas};
use super::palette::{OTHER_DARK, RELAY};
use super::scale;
use crate::failure::Failure;
use crate::median::median;

/// Its name, its place on the axis, and where it is in a latency.
type Percentile = (&'static str, f64, fn(&Latency) -> f64);

const PERCENTILES: [Percentile; 5] = [
    ("p50", 0.0, |latency| latency.p50_ms),
    ("p90", 1.0, |latency| latency.p90_ms),
    ("p99", 2.0, |latency| latency.p99_ms),
    ("p99.9", 3.0, |latency| latency.p99_9_ms),
    ("max", 4.0, |latency| latency.max_ms),
];
const AROUND_PERCENTILES: Range<f64> = -0.6..4.6;

/// A latency, with the medians of its percentiles in ms.
#[derive(Debug)]
struct Series {
    name: &'static str,
    colour: RGBColor,
    percentiles_ms: [f64; PERCENTILES.len()],
}

pub(super) fn plot(steady: &Steady, file: &str) -> Result<Plot, Failure> {
    let series = series(&steady.runs);
    let frame = Frame {
        title: title(&steady.runs),
        subtitle: subtitle(&steady.runs),
        legend: series
            .iter()
            .map(|series| (series.name.to_owned(), series.colour))
            .collect(),
        small_print: vec![
            format!(
                "{}. Commit to ack is from the relay's own histogram: percentiles are interpolated, the maximum is \
                 a bucket's upper bound.",
                medians_of(steady.runs.len(), "run")
            ),
            steady.circumstances.small_print(file),
        ],
    };
    frame.plot("latency.svg", HEIGHT, |canvas, top| {
        draw(&series, &canvas.part(top, HEIGHT, MARGIN))
    })
}

fn series(runs: &[Run]) -> Vec<Series> {
    let of = |name, colour, latencies: Vec<Latency>| {
        (!latencies.is_empty()).then(|| Series {
            name,
            colour,
            percentiles_ms: PERCENTILES.map(|(_, _, percentile)| median(latencies.iter().map(percentile))),
        })
    };
    let to_consumer = runs.iter().map(|run| run.latencies.insert_to_consumer);
    let to_ack = runs.iter().filter_map(|run| run.commit_to_ack);
    [
        of("insert to consumer", RELAY, to_consumer.collect()),
        of("commit to ack", OTHER_DARK, to_ack.collect()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn title(runs: &[Run]) -> String {
    let over = |number: fn(&Run) -> f64| median(runs.iter().map(number));
    format!(
        "{} events/s: half reach a consumer within {}, 99 % within {}",
        with_commas(over(|run| run.load.rate_events_per_s)),
        duration(over(|run| run.latencies.insert_to_consumer.p50_ms)),
        duration(over(|run| run.latencies.insert_to_consumer.p99_ms)),
    )
}

fn subtitle(runs: &[Run]) -> String {
    let Some(load) = runs.first().map(|run| run.load) else {
        return "no run".to_owned();
    };
    let over = |number: fn(&Run) -> f64| median(runs.iter().map(number));
    format!(
        "{load}; {}/s committed, {:.0} % begun over 1 ms late",
        with_commas(over(|run| run.writer.achieved_events_per_s)),
        100.0 * over(|run| run.writer.late_share),
    )
}

fn draw(series: &[Series], area: &Area<'_>) -> Result<(), DrawingFailed> {
    let axis_ms = scale::logarithmic(series.iter().flat_map(|series| series.percentiles_ms));
    let lowest_ms = axis_ms.start;
    let bottom = Bottom {
        range: AROUND_PERCENTILES,
        marks_max: PERCENTILES.len(),
        mark: &|x| name_at(x).to_owned(),
        description: "",
        height: 24,
    };
    let mut chart = chart::of_ms(area, bottom, axis_ms)?;
    for one in series {
        // No time at all has no place on the axis.
        let points: Vec<(f64, f64)> = one.points().map(|(x, ms)| (x, ms.max(lowest_ms))).collect();
        chart.draw_series(LineSeries::new(points.iter().copied(), one.colour.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|&(x, ms)| {
            // Percentiles only rise, so that these two corners are free of the line.
            let (offset, corner) = if is_highest(one, x, series) {
                ((-6, -4), Pos::new(HPos::Right, VPos::Bottom))
            } else {
                ((6, 4), Pos::new(HPos::Left, VPos::Top))
            };
            let number = style(NUMBER, one.colour).pos(corner);
            EmptyElement::at((x, ms))
                + Circle::new((0, 0), 4, one.colour.filled())
                + Text::new(duration(ms), offset, number)
        }))?;
    }
    Ok(())
}

/// The percentile at a place of the axis, if there is one.
fn name_at(x: f64) -> &'static str {
    let at_x = PERCENTILES.iter().find(|(_, at, _)| (at - x).abs() < 1e-6);
    at_x.map_or("", |(name, ..)| name)
}

/// Its number goes above the line then, and that of the other one below: so they never meet.
fn is_highest(one: &Series, x: f64, all: &[Series]) -> bool {
    let ms = |series: &Series| series.points().find(|(at, _)| (at - x).abs() < 1e-6).map(|(_, ms)| ms);
    let highest = all
        .iter()
        .max_by(|a, b| ms(a).unwrap_or_default().total_cmp(&ms(b).unwrap_or_default()));
    highest.is_some_and(|highest| highest.name == one.name)
}

impl Series {
    /// Places on the axis, and ms.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        PERCENTILES
            .iter()
            .zip(self.percentiles_ms)
            .map(|((_, x, _), ms)| (*x, ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::kept::Kept;

    fn series(name: &'static str, percentiles_ms: [f64; 5]) -> Series {
        Series {
            name,
            colour: RELAY,
            percentiles_ms,
        }
    }

    #[test]
    fn a_latency_of_no_time_at_all_can_be_plotted() {
        let none = r#"{"p50_ms": 0, "p90_ms": 0, "p99_ms": 1.5, "p99_9_ms": 3, "max_ms": 3}"#;
        let text = format!(
            r#"{{"runs": [{{
                "load": {{"rate_events_per_s": 10, "rows_per_transaction": 1, "row_bytes": 600, "synchronous_commit": true}},
                "writer": {{"achieved_events_per_s": 10}}, "commit_to_ack": null,
                "latencies": {{"insert_to_consumer": {none}, "intended_to_consumer": {none}}}}}]}}"#
        );
        let Kept::Steady(steady) = Kept::parse(&text).expect("results") else {
            panic!("not of steady");
        };
        assert!(plot(&steady, "steady-1.json").expect("a plot").svg.contains("1.5 ms"));
    }

    #[test]
    fn percentiles_are_named_at_their_places_only() {
        assert_eq!([0.0, 0.5, 3.0].map(name_at), ["p50", "", "p99.9"]);
    }

    #[test]
    fn only_one_of_two_numbers_is_above_its_line() {
        let all = [
            series("a", [1.0, 2.0, 3.0, 3.0, 9.0]),
            series("b", [2.0, 2.0, 1.0, 3.0, 1.0]),
        ];
        for (_, x, _) in PERCENTILES {
            let above = all.iter().filter(|one| is_highest(one, x, &all)).count();
            assert_eq!(above, 1, "at {x}");
        }
        assert!(is_highest(&all[1], 0.0, &all) && is_highest(&all[0], 4.0, &all));
    }
}

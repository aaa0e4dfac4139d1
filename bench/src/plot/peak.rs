//! `peak.svg`: the rates that a search tried, and the latency at each of them.

use plotters::prelude::{Circle, EmptyElement, LineSeries, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

use super::Plot;
use super::canvas::{Area, DrawingFailed, style};
use super::chart::{self, Bottom, HEIGHT, NUMBER};
use super::frame::{Frame, MARGIN};
use super::kept::{Search, Step, Verdict};
use super::number::{duration, with_commas};
use super::palette::{ALARM, OTHER, RELAY};
use super::scale;
use crate::failure::Failure;
use crate::median::median;

pub(super) fn plot(search: &Search, file: &str) -> Result<Plot, Failure> {
    let load = search
        .steps
        .first()
        .and_then(|step| step.runs.first())
        .map(|run| run.load);
    let frame = Frame {
        title: title(search),
        subtitle: load.map_or_else(String::new, |load| {
            format!("{load}; p99 from the intended time to the consumer")
        }),
        legend: [Verdict::Held, Verdict::NotHeld, Verdict::WriterBehind]
            .map(|verdict| (told(verdict).to_owned(), colour(verdict)))
            .to_vec(),
        small_print: vec![
            "Each dot is one try; what was not held is tried a second time, and the highest that was once more at the end.".to_owned(),
            search.circumstances.small_print(file),
        ],
    };
    frame.plot("peak.svg", HEIGHT, |canvas, top| {
        draw(search, &canvas.part(top, HEIGHT, MARGIN))
    })
}

fn title(search: &Search) -> String {
    let bound = duration(search.p99_bound_ms);
    match search.peak_events_per_s {
        Some(peak) => format!("Peak: {} events/s with 99 % within {bound}", with_commas(peak)),
        None => format!("No rate kept 99 % within {bound}"),
    }
}

fn told(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::WriterBehind => "not held: the writer was the limit",
        Verdict::NotHeld => "not held",
    }
}

fn colour(verdict: Verdict) -> RGBColor {
    match verdict {
        Verdict::Held => RELAY,
        Verdict::WriterBehind => OTHER,
        Verdict::NotHeld => ALARM,
    }
}

impl Step {
    fn p99_ms(&self) -> f64 {
        median(self.runs.iter().map(|run| run.latencies.intended_to_consumer.p99_ms))
    }
}

fn draw(search: &Search, area: &Area<'_>) -> Result<(), DrawingFailed> {
    let (steps, bound) = (&search.steps, search.p99_bound_ms);
    let rates = scale::from_zero(steps.iter().map(|step| step.rate_events_per_s));
    let axis_ms = scale::logarithmic(steps.iter().map(Step::p99_ms).chain([bound]));
    let right = rates.end;
    let lowest_ms = axis_ms.start;
    let bottom = Bottom {
        range: rates,
        marks_max: 10,
        mark: &with_commas,
        description: "offered events/s",
        height: 42,
    };
    let mut chart = chart::of_ms(area, bottom, axis_ms)?;
    chart.draw_series(LineSeries::new([(0.0, bound), (right, bound)], ALARM.stroke_width(2)))?;
    let named = style(NUMBER, ALARM).pos(Pos::new(HPos::Left, VPos::Bottom));
    let name = EmptyElement::at((0.0, bound)) + Text::new(format!("bound: {}", duration(bound)), (6, -4), named);
    chart.draw_series([name])?;
    chart.draw_series(steps.iter().map(|step| {
        Circle::new(
            (step.rate_events_per_s, step.p99_ms().max(lowest_ms)),
            5,
            colour(step.verdict).filled(),
        )
    }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::kept::Kept;

    fn search(peak: &str) -> Search {
        let text = format!(r#"{{"p99_bound_ms": 50.0, "peak_events_per_s": {peak}, "steps": []}}"#);
        match Kept::parse(&text).expect("results") {
            Kept::Search(search) => search,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_title_is_the_peak_or_that_there_is_none() {
        assert_eq!(title(&search("4250")), "Peak: 4,250 events/s with 99 % within 50 ms");
        assert_eq!(title(&search("null")), "No rate kept 99 % within 50 ms");
    }

    #[test]
    fn a_search_without_steps_can_be_plotted() {
        assert!(plot(&search("null"), "steady-search-1.json").is_ok());
    }
}

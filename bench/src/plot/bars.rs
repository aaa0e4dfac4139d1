//! Panels of horizontal bars, each bar with its name above it and its number at its end.

use plotters::style::RGBColor;

use super::canvas::{Canvas, DrawingFailed};
use super::frame::{MARGIN, WIDTH};
use super::palette::{MUTED, TEXT};
use super::text::Font;

const HEADING: Font = Font::bold(13);
const HINT: Font = Font::regular(11);
const NAME: Font = Font::regular(12);
const NUMBER: Font = Font::bold(12);
const HEAD_HEIGHT: u32 = 40;
const NAME_HEIGHT: u32 = 16;
const BAR_HEIGHT: u32 = 16;
const ROW_HEIGHT: u32 = NAME_HEIGHT + BAR_HEIGHT + 10;
const NUMBER_GAP: f64 = 5.0;
const COLUMN_GAP: u32 = 18;

/// One panel, with a scale of its own or that of all.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) heading: String,
    pub(super) hint: String,
    pub(super) bars: Vec<Bar>,
}

/// One bar; several parts are stacked.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) parts: Vec<(f64, RGBColor)>,
    /// The number as it is shown.
    pub(super) number: String,
}

/// All panels, in rows of some columns.
#[derive(Debug)]
pub(super) struct Bars {
    pub(super) panels: Vec<Panel>,
    pub(super) columns: u32,
    /// Whether lengths can be compared across panels.
    pub(super) common_scale: bool,
}

/// Where a panel is, and how long its bars may be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    left: f64,
    top: u32,
    px_per_unit: f64,
}

impl Bar {
    pub(super) fn plain(name: impl Into<String>, value: f64, colour: RGBColor, number: String) -> Bar {
        Bar {
            name: name.into(),
            parts: vec![(value, colour)],
            number,
        }
    }

    fn sum(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value).sum()
    }

    /// Left and right of each part from the left of the bar on.
    fn spans(&self, px_per_unit: f64) -> Vec<(f64, f64, RGBColor)> {
        let mut left = 0.0;
        let spans = self.parts.iter().map(|&(value, colour)| {
            let from = left;
            left += value * px_per_unit;
            (from, left, colour)
        });
        spans.collect()
    }
}

impl Panel {
    fn height(&self) -> u32 {
        HEAD_HEIGHT + ROW_HEIGHT * count(&self.bars)
    }

    /// So that each bar and its number fit into the width.
    fn px_per_unit(&self, width: f64) -> f64 {
        let fitting = self.bars.iter().filter(|bar| bar.sum() > 0.0).map(|bar| {
            let room = width - NUMBER_GAP - NUMBER.width(&bar.number);
            room.max(0.0) / bar.sum()
        });
        let least = fitting.fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }
}

impl Bars {
    pub(super) fn height(&self) -> u32 {
        self.rows().map(row_height).sum()
    }

    fn rows(&self) -> impl Iterator<Item = &[Panel]> {
        self.panels.chunks(self.columns.max(1) as usize)
    }

    fn column_width(&self) -> u32 {
        let columns = self.columns.max(1);
        (WIDTH - 2 * MARGIN - (columns - 1) * COLUMN_GAP) / columns
    }

    /// In the order of the panels.
    fn places(&self) -> Vec<Place> {
        let width = self.column_width();
        let of_panel = |panel: &Panel| panel.px_per_unit(f64::from(width));
        let common = self.panels.iter().map(of_panel).fold(f64::INFINITY, f64::min);
        let mut top = 0;
        let mut places = Vec::new();
        for row in self.rows() {
            let lefts = (MARGIN..).step_by((width + COLUMN_GAP) as usize);
            places.extend(row.iter().zip(lefts).map(|(panel, left)| Place {
                left: f64::from(left),
                top,
                px_per_unit: if self.common_scale { common } else { of_panel(panel) },
            }));
            top += row_height(row);
        }
        places
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>, top: u32) -> Result<(), DrawingFailed> {
        for (panel, place) in self.panels.iter().zip(self.places()) {
            let mut y = top + place.top;
            canvas.text(&panel.heading, (place.left, f64::from(y)), HEADING, TEXT)?;
            let hint_top = f64::from(y + HEADING.line_height());
            canvas.text(&panel.hint, (place.left, hint_top), HINT, MUTED)?;
            y += HEAD_HEIGHT;
            for bar in &panel.bars {
                draw_bar(canvas, bar, y, place)?;
                y += ROW_HEIGHT;
            }
        }
        Ok(())
    }
}

fn draw_bar(canvas: &Canvas<'_>, bar: &Bar, top: u32, place: Place) -> Result<(), DrawingFailed> {
    canvas.text(&bar.name, (place.left, f64::from(top)), NAME, TEXT)?;
    let bar_top = f64::from(top + NAME_HEIGHT);
    let bar_bottom = bar_top + f64::from(BAR_HEIGHT);
    let mut end = place.left;
    for (from, to, colour) in bar.spans(place.px_per_unit) {
        // Even the smallest share can be seen.
        end = place.left + to.max(from + 1.0);
        canvas.rectangle((place.left + from, bar_top), (end, bar_bottom), colour)?;
    }
    let number_top = bar_top + f64::from(BAR_HEIGHT - NUMBER.px) / 2.0 + 1.0;
    canvas.text(&bar.number, (end + NUMBER_GAP, number_top), NUMBER, TEXT)
}

fn row_height(row: &[Panel]) -> u32 {
    row.iter().map(Panel::height).max().unwrap_or(0)
}

fn count<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::palette::{OTHER, RELAY};

    fn panel(values: &[f64]) -> Panel {
        let bar = |value: &f64| Bar::plain("someone", *value, RELAY, format!("{value:.0}"));
        Panel {
            heading: "Events".to_owned(),
            hint: "more is better".to_owned(),
            bars: values.iter().map(bar).collect(),
        }
    }

    fn bars(panels: &[&[f64]], columns: u32, common_scale: bool) -> Bars {
        Bars {
            panels: panels.iter().map(|values| panel(values)).collect(),
            columns,
            common_scale,
        }
    }

    #[test]
    fn every_bar_and_its_number_fit_into_their_column() {
        let bars = bars(&[&[1_234_567.0, 3.0], &[0.5, 9.0], &[0.0]], 4, false);
        for (panel, place) in bars.panels.iter().zip(bars.places()) {
            for bar in &panel.bars {
                let end = bar.sum() * place.px_per_unit + NUMBER_GAP + NUMBER.width(&bar.number);
                assert!(end <= f64::from(bars.column_width()) + 1e-6, "{bar:?} ends at {end}");
            }
        }
    }

    #[test]
    fn columns_do_not_overlap_and_end_before_the_margin() {
        let bars = bars(&[[1.0].as_slice(); 4], 4, false);
        let (lefts, width): (Vec<f64>, f64) = (
            bars.places().iter().map(|place| place.left).collect(),
            bars.column_width().into(),
        );
        assert!(lefts.windows(2).all(|pair| pair[0] + width < pair[1]), "{lefts:?}");
        assert!(lefts[3] + width <= f64::from(WIDTH - MARGIN), "{lefts:?}");
    }

    #[test]
    fn a_row_of_panels_begins_below_the_highest_of_the_row_above() {
        let bars = bars(&[&[1.0], &[1.0, 2.0], &[1.0]], 2, false);
        assert_eq!(bars.places()[2].top, bars.panels[1].height());
        assert_eq!(bars.height(), bars.panels[1].height() + bars.panels[2].height());
    }

    #[test]
    fn panels_have_one_scale_only_when_asked_for() {
        let scales = |common| -> Vec<f64> {
            let places = bars(&[&[10.0], &[1000.0]], 2, common).places();
            places.iter().map(|place| place.px_per_unit).collect()
        };
        assert!(scales(false)[0] > scales(false)[1]);
        assert!((scales(true)[0] - scales(true)[1]).abs() < 1e-9);
    }

    #[test]
    fn parts_follow_each_other() {
        let bar = Bar {
            name: String::new(),
            parts: vec![(2.0, RELAY), (3.0, OTHER)],
            number: String::new(),
        };
        assert_eq!(bar.spans(10.0), [(0.0, 20.0, RELAY), (20.0, 50.0, OTHER)]);
    }
}

//! What every plot has around its middle: the conclusion above it, what was done, a legend, and small print below.

use plotters::style::RGBColor;

use super::Plot;
use super::canvas::{self, Canvas, DrawingFailed};
use super::palette::{MUTED, TEXT};
use super::text::Font;
use crate::failure::Failure;

/// The width of a README.
pub(super) const WIDTH: u32 = 800;
pub(super) const MARGIN: u32 = 20;

const TITLE: Font = Font::bold(17);
const SUBTITLE: Font = Font::regular(12);
const LEGEND: Font = Font::regular(12);
const SMALL_PRINT: Font = Font::regular(10);
const SWATCH: u32 = 10;
const GAP: u32 = 10;

/// The texts around the middle.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) legend: Vec<(String, RGBColor)>,
    pub(super) small_print: Vec<String>,
}

/// The lines, and where they are.
#[derive(Debug)]
struct Placed {
    title: Vec<String>,
    subtitle: Vec<String>,
    small_print: Vec<String>,
    middle_top: u32,
}

impl Frame {
    /// Draws a plot whose middle is drawn by `middle` from the given y on.
    pub(super) fn plot(
        &self,
        name: &'static str,
        middle_height: u32,
        middle: impl FnOnce(&Canvas<'_>, u32) -> Result<(), DrawingFailed>,
    ) -> Result<Plot, Failure> {
        let placed = self.place();
        let foot_top = placed.middle_top + middle_height + GAP;
        let height = foot_top + lines_height(&placed.small_print, SMALL_PRINT) + GAP;
        let svg = canvas::draw((WIDTH, height), |canvas| {
            self.head(canvas, &placed)?;
            middle(canvas, placed.middle_top)?;
            lines(canvas, &placed.small_print, foot_top, SMALL_PRINT, MUTED)
        });
        svg.map(|svg| Plot { name, svg }).map_err(|error| Failure::Drawing {
            name,
            reason: error.to_string(),
        })
    }

    fn place(&self) -> Placed {
        let width = f64::from(WIDTH - 2 * MARGIN);
        let (title, subtitle) = (TITLE.wrap(&self.title, width), SUBTITLE.wrap(&self.subtitle, width));
        let legend_height = if self.legend.is_empty() {
            0
        } else {
            LEGEND.line_height() + GAP
        };
        let head = lines_height(&title, TITLE) + lines_height(&subtitle, SUBTITLE) + legend_height;
        Placed {
            title,
            subtitle,
            small_print: self
                .small_print
                .iter()
                .flat_map(|text| SMALL_PRINT.wrap(text, width))
                .collect(),
            middle_top: MARGIN + head + GAP,
        }
    }

    fn head(&self, canvas: &Canvas<'_>, placed: &Placed) -> Result<(), DrawingFailed> {
        lines(canvas, &placed.title, MARGIN, TITLE, TEXT)?;
        let subtitle_top = MARGIN + lines_height(&placed.title, TITLE);
        lines(canvas, &placed.subtitle, subtitle_top, SUBTITLE, MUTED)?;
        let legend_top = f64::from(subtitle_top + lines_height(&placed.subtitle, SUBTITLE) + GAP);
        let (swatch, mut left) = (f64::from(SWATCH), f64::from(MARGIN));
        for (name, colour) in &self.legend {
            canvas.rectangle(
                (left, legend_top + 2.0),
                (left + swatch, legend_top + 2.0 + swatch),
                *colour,
            )?;
            left += swatch + 5.0;
            canvas.text(name, (left, legend_top), LEGEND, TEXT)?;
            left += LEGEND.width(name) + 16.0;
        }
        Ok(())
    }
}

fn lines_height(lines: &[String], font: Font) -> u32 {
    u32::try_from(lines.len())
        .unwrap_or(u32::MAX)
        .saturating_mul(font.line_height())
}

fn lines(canvas: &Canvas<'_>, lines: &[String], top: u32, font: Font, colour: RGBColor) -> Result<(), DrawingFailed> {
    for (line, y) in lines.iter().zip((top..).step_by(font.line_height() as usize)) {
        canvas.text(line, (f64::from(MARGIN), f64::from(y)), font, colour)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(title: &str, legend: Vec<(String, RGBColor)>) -> Frame {
        Frame {
            title: title.to_owned(),
            subtitle: "what was done".to_owned(),
            legend,
            small_print: Vec::new(),
        }
    }

    #[test]
    fn a_long_title_moves_the_middle_down() {
        let (short, long) = (
            frame("short", Vec::new()).place(),
            frame(&"words ".repeat(30), Vec::new()).place(),
        );
        assert!(long.title.len() > 1);
        assert_eq!(
            long.middle_top - short.middle_top,
            lines_height(&long.title[1..], TITLE)
        );
    }

    #[test]
    fn a_legend_has_room_above_the_middle() {
        let legend = vec![("the relay".to_owned(), TEXT)];
        assert!(frame("t", legend).place().middle_top >= frame("t", Vec::new()).place().middle_top + LEGEND.px);
    }
}

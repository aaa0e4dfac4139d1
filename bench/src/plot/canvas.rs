//! An SVG that is drawn on in px, from the top left.

use std::io;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, DrawingArea, DrawingAreaErrorKind, FontDesc, FontFamily, FontStyle, IntoDrawingArea, Rectangle,
    SVGBackend, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

use super::palette::BACKGROUND;
use super::text::Font;

pub(super) type DrawingFailed = DrawingAreaErrorKind<io::Error>;
pub(super) type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;

/// The library's sizes of fonts are this many times those of SVG.
const LIBRARY_PX: f64 = 1.24;

pub(super) struct Canvas<'s> {
    /// For charts, which have their own coordinates.
    area: Area<'s>,
    in_px: DrawingArea<SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
}

/// Draws an SVG. Its background is white: what is around it may be dark.
pub(super) fn draw(
    (width, height): (u32, u32),
    content: impl FnOnce(&Canvas<'_>) -> Result<(), DrawingFailed>,
) -> Result<String, DrawingFailed> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        area.fill(&BACKGROUND)?;
        let (right, bottom) = (width.cast_signed(), height.cast_signed());
        let px = Cartesian2d::new(0.0..f64::from(width), 0.0..f64::from(height), (0..right, 0..bottom));
        let canvas = Canvas {
            in_px: area.clone().apply_coord_spec(px),
            area,
        };
        content(&canvas)?;
        canvas.area.present()?;
    }
    Ok(svg)
}

impl<'s> Canvas<'s> {
    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor) -> Result<(), DrawingFailed> {
        self.in_px.draw(&Rectangle::new([from, to], colour.filled()))
    }

    /// Text whose top left is given.
    pub(super) fn text(&self, text: &str, at: (f64, f64), font: Font, colour: RGBColor) -> Result<(), DrawingFailed> {
        let style = style(font, colour).pos(Pos::new(HPos::Left, VPos::Top));
        self.in_px.draw(&Text::new(text.to_owned(), at, style))
    }

    /// A part of the whole width, for a chart.
    pub(super) fn part(&self, top: u32, height: u32, margin: u32) -> Area<'s> {
        let (_, all) = self.area.dim_in_pixel();
        let below = all.saturating_sub(top + height);
        self.area.margin(top, below, margin, margin)
    }
}

/// Whatever sans-serif font the reader has.
pub(super) fn style(font: Font, colour: RGBColor) -> TextStyle<'static> {
    let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
    let size = f64::from(font.px) * LIBRARY_PX;
    FontDesc::new(FontFamily::SansSerif, size, weight).color(&colour)
}

//! What charts of milliseconds have in common: a logarithmic axis with marks, and a quiet grid.

use std::ops::Range;

use plotters::coord::combinators::{LogCoord, WithKeyPoints};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{BindKeyPoints, Cartesian2d, ChartBuilder, ChartContext, IntoLogRange, SVGBackend};
use plotters::style::TRANSPARENT;

use super::canvas::{Area, DrawingFailed, style};
use super::number::duration;
use super::palette::{GRID, MUTED, TEXT};
use super::scale;
use super::text::Font;

pub(super) const HEIGHT: u32 = 300;
pub(super) const NUMBER: Font = Font::bold(12);
const LABEL: Font = Font::regular(12);
const LEFT: u32 = 56;

pub(super) type Chart<'s> = ChartContext<'s, SVGBackend<'s>, Cartesian2d<RangedCoordf64, WithKeyPoints<LogCoord<f64>>>>;

/// The axis at the bottom.
pub(super) struct Bottom<'b> {
    pub(super) range: Range<f64>,
    pub(super) marks_max: usize,
    pub(super) mark: &'b dyn Fn(f64) -> String,
    /// Below the marks, or nothing.
    pub(super) description: &'b str,
    pub(super) height: u32,
}

/// Draws the axes; what is drawn on the chart then is in the units of the axes.
pub(super) fn of_ms<'s>(area: &Area<'s>, bottom: Bottom<'_>, axis_ms: Range<f64>) -> Result<Chart<'s>, DrawingFailed> {
    let marks = scale::marks(&axis_ms);
    let mut chart = ChartBuilder::on(area)
        .x_label_area_size(bottom.height)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(bottom.range, axis_ms.log_scale().with_key_points(marks))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(MUTED)
        .label_style(style(LABEL, TEXT))
        .x_labels(bottom.marks_max)
        .x_label_formatter(&|x| (bottom.mark)(*x))
        .x_desc(bottom.description)
        .y_label_formatter(&|ms| duration(*ms).replace(".0 ", " "))
        .draw()?;
    Ok(chart)
}

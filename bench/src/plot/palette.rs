//! The colours: one for the relay, greys for the others. All of them can be told apart without seeing colours.

use plotters::style::RGBColor;

pub(super) const BACKGROUND: RGBColor = RGBColor(255, 255, 255);
pub(super) const TEXT: RGBColor = RGBColor(31, 35, 40);
pub(super) const MUTED: RGBColor = RGBColor(89, 99, 110);
pub(super) const GRID: RGBColor = RGBColor(225, 228, 232);
pub(super) const RELAY: RGBColor = RGBColor(9, 92, 214);
/// The relay too, in another way.
pub(super) const RELAY_PALE: RGBColor = RGBColor(120, 172, 245);
pub(super) const OTHER: RGBColor = RGBColor(166, 173, 182);
pub(super) const OTHER_DARK: RGBColor = RGBColor(89, 99, 110);
pub(super) const OTHER_PALE: RGBColor = RGBColor(208, 213, 219);
/// What is out of bounds.
pub(super) const ALARM: RGBColor = RGBColor(207, 72, 20);

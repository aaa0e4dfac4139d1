//! Axes.

use std::ops::Range;

/// Room beyond the smallest and the largest value of a logarithmic axis, as a factor: for numbers beside the dots.
const ROOM: f64 = 2.0;

/// For a logarithmic axis. Values that it cannot show do not count.
pub(super) fn logarithmic(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for value in values.into_iter().filter(|value| *value > 0.0 && value.is_finite()) {
        low = low.min(value);
        high = high.max(value);
    }
    if high > 0.0 { low / ROOM..high * ROOM } else { 1.0..10.0 }
}

/// Powers of ten are marks enough for this much, as a factor; for less there are twos and fives too.
const MANY: f64 = 300.0;

/// The marks of a logarithmic axis.
pub(super) fn marks(axis: &Range<f64>) -> Vec<f64> {
    let steps: &[f64] = if axis.end / axis.start > MANY {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let decades = std::iter::successors(Some(10f64.powf(axis.start.log10().floor())), |decade| {
        Some(decade * 10.0)
    });
    decades
        .take_while(|decade| *decade <= axis.end)
        .flat_map(|decade| steps.iter().map(move |step| decade * step))
        .filter(|mark| axis.contains(mark))
        .collect()
}

/// From 0 to somewhat beyond the largest value, for a linear axis.
pub(super) fn from_zero(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let high = values.into_iter().fold(0.0, f64::max);
    0.0..if high > 0.0 { high * 1.1 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithmic_axis_has_room_on_both_sides() {
        assert_eq!(logarithmic([3.0, 250.0]), 1.5..500.0);
        assert_eq!(logarithmic([1.0]), 0.5..2.0);
    }

    #[test]
    fn what_has_no_logarithm_does_not_move_the_axis() {
        assert_eq!(logarithmic([0.0, f64::NAN, 5.0]), 2.5..10.0);
        assert_eq!(logarithmic([]), 1.0..10.0);
    }

    #[test]
    fn a_short_axis_has_marks_at_twos_and_fives_too() {
        assert_eq!(marks(&(12.0..660.0)), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(marks(&(3.0..5000.0)), [10.0, 100.0, 1000.0]);
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_leaves_room() {
        let axis = from_zero([100.0, 50.0]);
        assert!(axis.start == 0.0 && axis.end > 100.0, "{axis:?}");
        assert_eq!(from_zero([]), 0.0..1.0);
    }
}

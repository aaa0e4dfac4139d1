//! Whether more and more waits.

/// By how much the lowest backlog of the last quarter is above the lowest of the first: a hiccup raises neither.
pub(super) fn of(samples: &[u32]) -> f64 {
    let quarter = samples.len().div_ceil(4);
    let lowest = |samples: &[u32]| f64::from(samples.iter().min().copied().unwrap_or_default());
    let (first, last) = (&samples[..quarter], &samples[samples.len() - quarter..]);
    lowest(last) - lowest(first)
}

#[cfg(test)]
mod tests {
    use super::of;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < f64::EPSILON, "{found} instead of {expected}");
    }

    #[test]
    fn a_hiccup_is_no_growth() {
        near(of(&[3, 4, 3, 5, 900, 700, 3, 800]), 0.0);
    }

    #[test]
    fn what_is_never_caught_up_is_growth() {
        near(of(&[10, 20, 30, 40, 50, 60, 70, 80]), 60.0);
        near(of(&[]), 0.0);
    }
}

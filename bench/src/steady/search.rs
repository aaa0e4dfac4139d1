//! Which rate to try next: doubled until one is not held, or halved until one is, then the middle between the two.

/// The bounds of what can be offered.
pub(super) const RATE_MIN: u32 = 10;
pub(super) const RATE_MAX: u32 = 200_000;

/// The search ends when the lowest rate that was not held is at most this far above the highest that was.
const PRECISION: f64 = 0.05;

/// A search for the highest rate that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    start: u32,
    held: Option<u32>,
    not_held: Option<u32>,
}

impl Search {
    pub(super) fn from(start: u32) -> Search {
        Search {
            start,
            held: None,
            not_held: None,
        }
    }

    /// `None` when it is found, or out of bounds.
    pub(super) fn next(&self) -> Option<u32> {
        match (self.held, self.not_held) {
            (None, None) => Some(self.start),
            (Some(held), None) => (held < RATE_MAX).then_some((held * 2).min(RATE_MAX)),
            (None, Some(not_held)) => (not_held > RATE_MIN).then(|| (not_held / 2).max(RATE_MIN)),
            (Some(held), Some(not_held)) => {
                let far = f64::from(not_held) > f64::from(held) * (1.0 + PRECISION);
                far.then_some(u32::midpoint(held, not_held)).filter(|rate| *rate > held)
            }
        }
    }

    pub(super) fn note(&mut self, rate: u32, held: bool) {
        if held {
            self.held = Some(rate);
        } else {
            self.not_held = Some(rate);
        }
    }

    /// The highest rate that was held.
    pub(super) fn peak(&self) -> Option<u32> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that are tried when everything up to `limit` is held, and what is found.
    fn search(start: u32, limit: u32) -> (Vec<u32>, Option<u32>) {
        let (mut search, mut tried) = (Search::from(start), Vec::new());
        while let Some(rate) = search.next() {
            tried.push(rate);
            search.note(rate, rate <= limit);
        }
        (tried, search.peak())
    }

    #[test]
    fn the_rate_is_doubled_and_then_bisected() {
        let (tried, peak) = search(1000, 5100);
        assert_eq!(tried, [1000, 2000, 4000, 8000, 6000, 5000, 5500, 5250]);
        assert_eq!(peak, Some(5000));
    }

    #[test]
    fn a_start_that_is_too_high_is_halved_first() {
        let (tried, peak) = search(8000, 1500);
        assert_eq!(tried[..4], [8000, 4000, 2000, 1000]);
        assert_eq!(peak, Some(1500));
    }

    #[test]
    fn the_result_is_within_the_precision_wherever_it_lies() {
        for limit in (RATE_MIN..RATE_MAX).step_by(977) {
            let (tried, peak) = search(2000, limit);
            let peak = f64::from(peak.expect("one is held"));
            assert!(f64::from(limit) < peak * (1.0 + PRECISION) + 1.0, "{limit}: {tried:?}");
        }
    }

    #[test]
    fn it_ends_at_both_bounds() {
        assert_eq!(search(2000, RATE_MAX).1, Some(RATE_MAX));
        assert_eq!(search(2000, 0).1, None);
    }
}

//! Which rate to try next: doubled until one is not held, or halved until one is, then the middle between the two, and
//! in the end the highest that was held once more.

/// The bounds of what can be offered.
pub(super) const RATE_MIN: u32 = 10;
pub(super) const RATE_MAX: u32 = 200_000;

/// The search ends when the lowest rate that was not held is at most this far above the highest that was.
const PRECISION: f64 = 0.05;

/// A search for the highest rate that is held.
#[derive(Debug, Clone)]
pub(super) struct Search {
    start: u32,
    /// In ascending order.
    held: Vec<u32>,
    not_held: Option<u32>,
    is_confirmed: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Try(u32),
    /// The highest rate that was held, once more: it may have been luck.
    Confirm(u32),
}

impl Search {
    pub(super) fn from(start: u32) -> Search {
        Search {
            start,
            held: Vec::new(),
            not_held: None,
            is_confirmed: false,
        }
    }

    /// `None` when the peak is found and confirmed, or when there is none.
    pub(super) fn next(&self) -> Option<Next> {
        let confirm = || Some(Next::Confirm(self.peak()?)).filter(|_| !self.is_confirmed);
        self.next_try().map(Next::Try).or_else(confirm)
    }

    /// `None` when it is as exact as it will be, or out of bounds.
    fn next_try(&self) -> Option<u32> {
        match (self.peak(), self.not_held) {
            (None, None) => Some(self.start),
            (Some(held), None) => (held < RATE_MAX).then_some((held * 2).min(RATE_MAX)),
            (None, Some(not_held)) => (not_held > RATE_MIN).then(|| (not_held / 2).max(RATE_MIN)),
            (Some(held), Some(not_held)) => {
                let far = f64::from(not_held) > f64::from(held) * (1.0 + PRECISION);
                far.then_some(u32::midpoint(held, not_held)).filter(|rate| *rate > held)
            }
        }
    }

    /// What has come of it. A rate that is not confirmed was not held, and the search goes on below it.
    pub(super) fn note(&mut self, tried: Next, is_held: bool) {
        match (tried, is_held) {
            (Next::Try(rate), true) => self.held.push(rate),
            (Next::Try(rate), false) => self.not_held = Some(rate),
            (Next::Confirm(_), true) => self.is_confirmed = true,
            (Next::Confirm(rate), false) => {
                self.held.pop();
                self.not_held = Some(rate);
            }
        }
    }

    /// The highest rate that was held.
    pub(super) fn peak(&self) -> Option<u32> {
        self.held.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is tried when everything up to `limit` is held, the first time and later, and what is found.
    fn search_with(start: u32, limit: u32, limit_later: u32) -> (Vec<Next>, Option<u32>) {
        let (mut search, mut tried) = (Search::from(start), Vec::new());
        while let Some(next) = search.next() {
            tried.push(next);
            let is_held = match next {
                Next::Try(rate) => rate <= limit,
                Next::Confirm(rate) => rate <= limit_later,
            };
            search.note(next, is_held);
        }
        (tried, search.peak())
    }

    /// The rates that are tried when everything up to `limit` is held, but for the last, which confirms the one found.
    fn search(start: u32, limit: u32) -> (Vec<u32>, Option<u32>) {
        let (tried, peak) = search_with(start, limit, limit);
        let rates = tried.into_iter().filter_map(|next| match next {
            Next::Try(rate) => Some(rate),
            Next::Confirm(_) => None,
        });
        (rates.collect(), peak)
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

    #[test]
    fn the_peak_is_tried_once_more_at_the_end() {
        let (tried, peak) = search_with(1000, 5100, 5100);
        assert_eq!(tried.last(), Some(&Next::Confirm(5000)));
        assert_eq!(peak, Some(5000));
    }

    #[test]
    fn a_peak_that_is_not_confirmed_is_lowered_until_one_is() {
        let (tried, peak) = search_with(1000, 5100, 2600);
        let confirmed: Vec<Next> = tried
            .iter()
            .filter(|next| matches!(next, Next::Confirm(_)))
            .copied()
            .collect();
        assert_eq!(confirmed.first(), Some(&Next::Confirm(5000)));
        let peak = peak.expect("one is held");
        assert_eq!(confirmed.last(), Some(&Next::Confirm(peak)));
        assert!((2_000..=2_600).contains(&peak), "{peak} after {tried:?}");
        assert_eq!(search_with(1000, 5100, 0).1, None);
    }
}

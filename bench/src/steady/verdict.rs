//! Whether a rate was held, and if not, because of whom.

use std::fmt;

use serde::Serialize;

use super::measure::Steady;

/// The writer holds a rate when it commits at least this share of it.
const ACHIEVED_SHARE_MIN: f64 = 0.98;

/// What a step of the search has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Held,
    /// PostgreSQL did not take the rows at this rate, or not in time: the limit is not the carrier's.
    WriterBehind,
    /// More and more rows waited for the carrier.
    BacklogGrew,
    /// The percentile was above the bound.
    TooSlow,
}

impl Verdict {
    /// In one word, what was at its limit.
    pub(super) fn limit(self) -> Option<&'static str> {
        match self {
            Verdict::Held => None,
            Verdict::WriterBehind => Some("writer"),
            Verdict::BacklogGrew => Some("backlog"),
            Verdict::TooSlow => Some("latency"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Held => "held",
            Verdict::WriterBehind => "not held: the writer is the limit",
            Verdict::BacklogGrew => "not held: the backlog grew",
            Verdict::TooSlow => "not held: p99 is above the bound",
        })
    }
}

/// What a verdict is made of.
#[derive(Debug, Clone, Copy)]
struct Observed {
    offered_events_per_s: f64,
    achieved_events_per_s: f64,
    backlog_growth_events: f64,
    intended_to_consumer_p99_ms: f64,
    insert_to_consumer_p99_ms: f64,
}

impl Verdict {
    /// The 99th percentile counts from the intended time.
    pub(super) fn on(steady: &Steady, p99_bound_ms: f64) -> Verdict {
        judge(
            Observed {
                offered_events_per_s: f64::from(steady.load.rate_events_per_s),
                achieved_events_per_s: steady.writer.achieved_events_per_s,
                backlog_growth_events: steady.backlog_growth_events,
                intended_to_consumer_p99_ms: steady.latencies.intended_to_consumer.p99_ms,
                insert_to_consumer_p99_ms: steady.latencies.insert_to_consumer.p99_ms,
            },
            p99_bound_ms,
        )
    }
}

fn judge(observed: Observed, p99_bound_ms: f64) -> Verdict {
    // More than this cannot be worked off within the bound.
    let growth_bound = observed.offered_events_per_s * p99_bound_ms / 1e3;
    if observed.achieved_events_per_s < ACHIEVED_SHARE_MIN * observed.offered_events_per_s {
        Verdict::WriterBehind
    } else if observed.backlog_growth_events > growth_bound {
        Verdict::BacklogGrew
    } else if observed.intended_to_consumer_p99_ms <= p99_bound_ms {
        Verdict::Held
    } else if observed.insert_to_consumer_p99_ms <= p99_bound_ms {
        // It is the lag of the writer that is too much.
        Verdict::WriterBehind
    } else {
        Verdict::TooSlow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Observed = Observed {
        offered_events_per_s: 1000.0,
        achieved_events_per_s: 995.0,
        backlog_growth_events: 3.0,
        intended_to_consumer_p99_ms: 40.0,
        insert_to_consumer_p99_ms: 30.0,
    };

    fn verdict(edit: impl FnOnce(&mut Observed)) -> Verdict {
        let mut observed = GOOD;
        edit(&mut observed);
        judge(observed, 50.0)
    }

    #[test]
    fn a_rate_is_held_when_everything_is_within_its_bounds() {
        assert_eq!(verdict(|_| {}), Verdict::Held);
    }

    #[test]
    fn the_writer_is_the_limit_when_it_does_not_commit_what_was_offered() {
        let found = verdict(|observed| {
            observed.achieved_events_per_s = 900.0;
            observed.intended_to_consumer_p99_ms = 500.0;
        });
        assert_eq!(found, Verdict::WriterBehind);
    }

    #[test]
    fn the_writer_is_the_limit_when_only_its_lag_is_too_much() {
        let found = verdict(|observed| observed.intended_to_consumer_p99_ms = 51.0);
        assert_eq!(found, Verdict::WriterBehind);
    }

    #[test]
    fn a_carrier_that_is_slow_is_too_slow() {
        let found = verdict(|observed| {
            observed.intended_to_consumer_p99_ms = 60.0;
            observed.insert_to_consumer_p99_ms = 55.0;
        });
        assert_eq!(found, Verdict::TooSlow);
    }

    #[test]
    fn a_backlog_that_grows_is_not_held_whatever_the_percentiles() {
        assert_eq!(
            verdict(|observed| observed.backlog_growth_events = 51.0),
            Verdict::BacklogGrew
        );
    }
}

//! How often acknowledgements are looked for. Nobody wakes the loop for them: a wake-up from another thread costs both of
//! them more than a look does.

use std::time::{Duration, Instant};

use super::TICK;

/// The shortest wait between two looks.
const SHORTEST: Duration = Duration::from_millis(1);
/// A look comes late by at most this part of the time that has passed.
const PART: u32 = 8;

/// Looks soon after something was sent or acknowledged, and then ever more rarely.
#[derive(Debug)]
pub(super) struct Looks {
    since: Instant,
}

impl Looks {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now }
    }

    /// Something has moved.
    pub(super) const fn note(&mut self, now: Instant) {
        self.since = now;
    }

    /// How long until the next look.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        (now.duration_since(self.since) / PART).clamp(SHORTEST, TICK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_seen_at_once_and_silence_costs_little() {
        let (start, mut looks) = (Instant::now(), Looks::new(Instant::now()));
        assert_eq!(looks.wait(start), SHORTEST);
        let (mut now, mut count) = (start, 0);
        while now < start + Duration::from_secs(1) {
            now += looks.wait(now);
            count += 1;
        }
        assert!((30..60).contains(&count), "{count} looks in the first second");
        assert_eq!(looks.wait(now + Duration::from_secs(1)), TICK);
        looks.note(now);
        assert_eq!(looks.wait(now), SHORTEST);
    }
}

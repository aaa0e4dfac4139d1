//! How long to wait before the next attempt. For ever: what bounds attempts is whoever counts them.

use std::time::Duration;

use fastrand::Rng;

/// How waits grow from one attempt to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Not at all.
    Fixed,
    /// They double.
    Exponential,
    /// They double, and one half of each is left to chance: out of step, and never hasty.
    EqualJitter,
    /// They double, and all of each is left to chance: as far out of step as can be.
    FullJitter,
}

impl Growth {
    /// Each with its name, as configurations write it.
    pub const ALL: [(&'static str, Self); 4] = [
        ("fixed", Self::Fixed),
        ("exponential", Self::Exponential),
        ("equal_jitter", Self::EqualJitter),
        ("full_jitter", Self::FullJitter),
    ];
}

/// The waits between attempts, without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How they grow.
    pub growth: Growth,
    /// The first.
    pub initial: Duration,
    /// None is longer.
    pub max: Duration,
}

impl Schedule {
    /// The wait after the attempt of this number, which counts from 0.
    pub fn wait(&self, attempt: u32, random: &mut Rng) -> Duration {
        let doubled = self.initial.saturating_mul(2_u32.saturating_pow(attempt)).min(self.max);
        match self.growth {
            Growth::Fixed => self.initial.min(self.max),
            Growth::Exponential => doubled,
            Growth::EqualJitter => doubled / 2 + (doubled / 2).mul_f64(random.f64()),
            Growth::FullJitter => doubled.mul_f64(random.f64()),
        }
    }
}

/// Attempts that follow each other. They start over when something succeeded.
#[derive(Debug)]
pub struct Backoff {
    schedule: Schedule,
    attempt: u32,
    random: Rng,
}

impl Backoff {
    /// Waits as the schedule says.
    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            attempt: 0,
            random: Rng::new(),
        }
    }

    /// Waits of at least `first_ms`, or half of `max_ms` where that is less, that are out of step also when they are the longest.
    pub fn jittered(first_ms: u64, max_ms: u64) -> Self {
        Self::new(Schedule {
            growth: Growth::EqualJitter,
            initial: Duration::from_millis(first_ms.saturating_mul(2)),
            max: Duration::from_millis(max_ms),
        })
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_of(self.schedule)
    }

    /// The next wait, as another schedule says.
    pub fn next_wait_of(&mut self, schedule: Schedule) -> Duration {
        let wait = schedule.wait(self.attempt, &mut self.random);
        self.attempt = self.attempt.saturating_add(1);
        wait
    }

    /// Something succeeded: the next wait is a first one again.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_ms(growth: Growth, attempts: u32) -> Vec<u128> {
        let schedule = Schedule {
            growth,
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        let mut random = Rng::with_seed(7);
        (0..attempts)
            .map(|attempt| schedule.wait(attempt, &mut random).as_millis())
            .collect()
    }

    #[test]
    fn each_policy_grows_as_its_name_says_and_never_above_its_maximum() {
        assert_eq!(waits_ms(Growth::Fixed, 5), [100; 5]);
        assert_eq!(waits_ms(Growth::Exponential, 5), [100, 200, 400, 800, 1000]);
        let (equal, full) = (waits_ms(Growth::EqualJitter, 60), waits_ms(Growth::FullJitter, 60));
        assert!(
            (50..=100).contains(&equal[0]) && (100..=200).contains(&equal[1]),
            "{equal:?}"
        );
        assert!(equal[5..].iter().all(|wait| (500..=1000).contains(wait)), "{equal:?}");
        assert!(
            full[5..].iter().any(|&wait| wait < 500) && full.iter().all(|&wait| wait <= 1000),
            "{full:?}"
        );
        for waits in [equal, full] {
            assert!(waits[6..].iter().any(|wait| wait != &waits[5]), "in step: {waits:?}");
        }
    }

    #[test]
    fn waits_never_end_stay_out_of_step_and_start_over() {
        let mut backoff = Backoff::jittered(100, 1000);
        let waits: Vec<_> = (0..50).map(|_| backoff.next_wait().as_millis()).collect();
        assert!((100..=200).contains(&waits[0]), "{waits:?}");
        assert!(waits[5..].iter().all(|wait| (500..=1000).contains(wait)), "{waits:?}");
        assert!(waits[5..].iter().any(|wait| wait != &waits[5]), "in step: {waits:?}");
        backoff.reset();
        assert!(backoff.next_wait().as_millis() <= 200);
    }
}

//! At rest: whatever comes next does not pay for what was before.
//!
//! After more was offered than could be taken, servers go on for a while: they write pages, and compile and collect what
//! the load has brought. No backlog is left then: a measurement ends when the last record is read and its slot is dropped.

use std::time::{Duration, Instant};

use crate::backlog;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::usage::percent;
use crate::{progress, server_cpu};

/// Together, in percent of one core: a server that only keeps itself alive uses less.
const QUIET_PERCENT: f64 = 10.0;
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A pause between two pieces of work is no rest.
const QUIET_LOOKS: u32 = 2;
const LIMIT: Duration = Duration::from_mins(1);

/// Empties the outbox and waits until the servers have little to do. The seconds that it took; `None` when they still were
/// busy after a minute, which is said.
pub(super) fn wait(installation: &Installation, interrupt: &Interrupt) -> Result<Option<f64>, Failure> {
    let begin = Instant::now();
    backlog::take_away(&installation.database)?;
    let (mut rest, mut at, mut cpu) = (Rest::default(), Instant::now(), cpu_of_servers(installation));
    while begin.elapsed() < LIMIT {
        interrupt.pass(LOOK_AGAIN)?;
        let (at_before, cpu_before) = (at, cpu);
        (at, cpu) = (Instant::now(), cpu_of_servers(installation));
        if rest.is_reached(percent(cpu.saturating_sub(cpu_before), at - at_before)) {
            return Ok(Some(begin.elapsed().as_secs_f64()));
        }
    }
    progress::step(&format!(
        "the servers still use more than {QUIET_PERCENT} % of a core after {} s, and are measured all the same",
        LIMIT.as_secs()
    ));
    Ok(None)
}

fn cpu_of_servers(installation: &Installation) -> Duration {
    let postgres = server_cpu::of(installation.stack.postgres.pid());
    postgres.unwrap_or_default() + installation.brokers_usage().cpu
}

/// How often in a row the servers were quiet.
#[derive(Debug, Default)]
struct Rest {
    quiet_looks: u32,
}

impl Rest {
    /// Whether they are at rest, with what they have used since the last look.
    fn is_reached(&mut self, used_percent: f64) -> bool {
        self.quiet_looks = if used_percent <= QUIET_PERCENT {
            self.quiet_looks + 1
        } else {
            0
        };
        self.quiet_looks >= QUIET_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_quiet_moment_is_no_rest() {
        let mut rest = Rest::default();
        let reached = [80.0, 2.0, 30.0, 3.0, 10.0].map(|used| rest.is_reached(used));
        assert_eq!(reached, [false, false, false, false, true]);
    }
}

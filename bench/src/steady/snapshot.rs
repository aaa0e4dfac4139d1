//! Who uses the cores: looked at before and after the window.

use std::process;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::installation::Installation;
use crate::machine::NotUsed;
use crate::usage::{Usage, percent};
use crate::{run_queue, server_cpu};

/// CPU time in percent of one core.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct CpuPercent {
    pub(crate) carrier: f64,
    pub(crate) walsender: f64,
    /// `PostgreSQL`'s other processes: the writer's backends, and what writes WAL and pages.
    pub(crate) backends: f64,
    pub(crate) broker: f64,
    /// This program: writer and consumer.
    pub(crate) bench: f64,
    /// What no process on the machine used; of two cores 200 at the most.
    pub(crate) idle: f64,
    /// What the host gave to other guests.
    pub(crate) stolen: f64,
}

/// How long threads that could run waited for a core, all of a process together, in percent of the window.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Waited {
    pub(crate) carrier: f64,
    pub(crate) walsender: f64,
    pub(crate) broker: f64,
}

/// What everybody has used at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    at: Instant,
    carrier: Duration,
    walsender: Duration,
    postgres: Duration,
    broker: Duration,
    bench: Duration,
    not_used: NotUsed,
    waited: [Option<Duration>; 3],
}

impl Snapshot {
    pub(super) fn of(carrier: u32, walsender: u32, installation: &Installation) -> Snapshot {
        let cpu = |pid| Usage::of(pid).unwrap_or_default().cpu;
        let brokers_waited = installation.broker_pids().map(run_queue::waited);
        Snapshot {
            at: Instant::now(),
            carrier: cpu(carrier),
            walsender: cpu(walsender),
            postgres: server_cpu::of(installation.stack.postgres.pid()).unwrap_or_default(),
            broker: installation.brokers_usage().cpu,
            bench: cpu(process::id()),
            not_used: NotUsed::by_now(),
            waited: [
                run_queue::waited(carrier),
                run_queue::waited(walsender),
                brokers_waited.sum(),
            ],
        }
    }

    pub(super) fn cpu_percent_since(&self, before: &Snapshot) -> CpuPercent {
        let percent = |of: fn(&Snapshot) -> Duration| self.percent_since(before, of(self), of(before));
        CpuPercent {
            carrier: percent(|snapshot| snapshot.carrier),
            walsender: percent(|snapshot| snapshot.walsender),
            backends: percent(|snapshot| snapshot.postgres.saturating_sub(snapshot.walsender)),
            broker: percent(|snapshot| snapshot.broker),
            bench: percent(|snapshot| snapshot.bench),
            idle: percent(|snapshot| snapshot.not_used.idle),
            stolen: percent(|snapshot| snapshot.not_used.stolen),
        }
    }

    /// `None` unless the kernel says it of all three.
    pub(super) fn waited_percent_since(&self, before: &Snapshot) -> Option<Waited> {
        let percent = |index: usize| Some(self.percent_since(before, self.waited[index]?, before.waited[index]?));
        Some(Waited {
            carrier: percent(0)?,
            walsender: percent(1)?,
            broker: percent(2)?,
        })
    }

    /// A thread that has ended in between takes its waiting with it.
    fn percent_since(&self, before: &Snapshot, now: Duration, then: Duration) -> f64 {
        percent(now.saturating_sub(then), self.at - before.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: Instant, seconds: u64) -> Snapshot {
        let used = |part: u64| Duration::from_secs(seconds * part);
        Snapshot {
            at: at + used(10),
            carrier: used(1),
            walsender: used(2),
            postgres: used(7),
            broker: used(3),
            bench: used(4),
            not_used: NotUsed {
                idle: used(6),
                stolen: used(1),
            },
            waited: [Some(used(2)), Some(used(3)), Some(used(5))],
        }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn the_backends_are_the_server_without_its_walsender() {
        let origin = Instant::now();
        let cpu = snapshot(origin, 3).cpu_percent_since(&snapshot(origin, 1));
        near(cpu.walsender, 20.0);
        near(cpu.backends, 50.0);
        near(cpu.idle, 60.0);
        near(cpu.stolen, 10.0);
    }

    #[test]
    fn waiting_is_that_of_the_window_and_not_known_when_it_is_not_of_all() {
        let origin = Instant::now();
        let (before, mut after) = (snapshot(origin, 1), snapshot(origin, 2));
        let waited = after.waited_percent_since(&before).expect("all are known");
        near(waited.carrier, 20.0);
        near(waited.broker, 50.0);
        after.waited[1] = None;
        assert!(after.waited_percent_since(&before).is_none());
    }
}

//! What a process has used so far, from `/proc`.

use std::fs;
use std::iter::Sum;
use std::time::Duration;

use crate::stat::Stat;

const KIB_PER_MIB: f64 = 1024.0;

/// CPU time and peak memory of one process, threads that have ended included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// The highest resident memory (`VmHWM`).
    pub(crate) peak_kib: u32,
}

impl Usage {
    /// `None` when there is no such process.
    pub(crate) fn of(pid: u32) -> Option<Usage> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Usage {
            cpu: Stat::of(pid)?.cpu,
            // A process that has ended and waits for its parent has no memory any more.
            peak_kib: peak_kib(&status)?,
        })
    }

    /// The peak in MiB.
    pub(crate) fn peak_mib(self) -> f64 {
        f64::from(self.peak_kib) / KIB_PER_MIB
    }
}

/// Of processes that do one work together.
impl Sum for Usage {
    fn sum<I: Iterator<Item = Usage>>(usages: I) -> Usage {
        usages.fold(Usage::default(), |sum, usage| Usage {
            cpu: sum.cpu + usage.cpu,
            peak_kib: sum.peak_kib + usage.peak_kib,
        })
    }
}

/// A part of a time in percent of it.
pub(crate) fn percent(part: Duration, of: Duration) -> f64 {
    100.0 * part.as_secs_f64() / of.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn peak_kib(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_of_two_is_a_quarter() {
        let percent = percent(Duration::from_millis(500), Duration::from_secs(2));
        assert!((percent - 25.0).abs() < 1e-9, "{percent}");
    }

    #[test]
    fn the_peak_is_read_from_the_status() {
        assert_eq!(peak_kib("Name:\tx\nVmHWM:\t   63488 kB\nVmRSS:\t 1 kB\n"), Some(63_488));
        assert_eq!(peak_kib("Name:\tzombie\n"), None);
    }
}

//! What a process has used so far, from `/proc`.

use std::fs;
use std::iter::Sum;
use std::time::Duration;

/// The kernel shows CPU time in hundredths of a second, whatever its own clock is (`USER_HZ`, proc(5)).
const TICK: Duration = Duration::from_millis(10);
/// Fields 14 and 15 of `stat`, counted from the third, which follows the program's name.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Usage {
            cpu: cpu(&stat)?,
            // A process that has ended and waits for its parent has no memory any more.
            peak_kib: peak_kib(&status)?,
        })
    }

    /// The peak in MiB.
    pub(crate) fn peak_mib(self) -> f64 {
        f64::from(self.peak_kib) / KIB_PER_MIB
    }

    /// CPU time since an earlier look, in percent of one core over the time between.
    pub(crate) fn core_percent_since(self, earlier: Usage, between: Duration) -> f64 {
        let cpu = self.cpu.saturating_sub(earlier.cpu);
        100.0 * cpu.as_secs_f64() / between.as_secs_f64().max(f64::MIN_POSITIVE)
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

fn cpu(stat: &str) -> Option<Duration> {
    // The name in the second field may hold blanks and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |index| fields.split_whitespace().nth(index)?.parse::<u32>().ok();
    Some(TICK * (ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?))
}

fn peak_kib(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 4 0 100";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
    }

    #[test]
    fn half_a_second_of_two_is_a_quarter_of_a_core() {
        let used = |milliseconds| Usage {
            cpu: Duration::from_millis(milliseconds),
            peak_kib: 0,
        };
        let percent = used(1500).core_percent_since(used(1000), Duration::from_secs(2));
        assert!((percent - 25.0).abs() < 1e-9, "{percent}");
    }

    #[test]
    fn the_peak_is_read_from_the_status() {
        assert_eq!(peak_kib("Name:\tx\nVmHWM:\t   63488 kB\nVmRSS:\t 1 kB\n"), Some(63_488));
        assert_eq!(peak_kib("Name:\tzombie\n"), None);
    }
}

//! `/proc/PID/stat`: who started a process, and the CPU time of it and of its children that have ended.

use std::fs;
use std::time::Duration;

/// The kernel shows CPU time in hundredths of a second, whatever its own clock is (`USER_HZ`, proc(5)).
const TICK_MS: u64 = 10;
/// Fields 4 and 14 to 17, counted from the third, which follows the program's name.
const PARENT: usize = 1;
const OWN_TICKS: [usize; 2] = [11, 12];
const ENDED_CHILDREN_TICKS: [usize; 2] = [13, 14];

/// CPU time as `/proc` has it.
pub(crate) fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(TICK_MS))
}

/// One process, threads that have ended included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Of children that it has waited for.
    pub(crate) cpu_of_ended_children: Duration,
}

impl Stat {
    /// `None` when there is no such process.
    pub(crate) fn of(pid: u32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Stat> {
        // The name in the second field may hold blanks and parentheses itself.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let time = |index: usize| Some(ticks(fields.get(index)?.parse().ok()?));
        let sum = |[user, system]: [usize; 2]| Some(time(user)? + time(system)?);
        Some(Stat {
            parent: fields.get(PARENT)?.parse().ok()?,
            cpu: sum(OWN_TICKS)?,
            cpu_of_ended_children: sum(ENDED_CHILDREN_TICKS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 30 12 20 0 4 0 100";
        let expected = Stat {
            parent: 1,
            cpu: Duration::from_millis(1750),
            cpu_of_ended_children: Duration::from_millis(420),
        };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse("garbage"), None);
    }
}

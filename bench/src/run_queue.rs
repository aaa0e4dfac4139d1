//! How long threads that could run waited for a core, from `/proc/PID/task/*/schedstat`.

use std::fs;
use std::time::Duration;

/// Of all threads that a process has now, since each began; `None` where the kernel does not say.
pub(crate) fn waited(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let mut texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    let first = waited_in(&texts.next()?)?;
    // One that has just ended says nothing any more.
    let others: Duration = texts.filter_map(|text| waited_in(&text)).sum();
    Some(first + others)
}

/// The second of three fields, in nanoseconds: after the time on a core, before the number of times.
fn waited_in(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_on_a_core_is_not_the_time_before_it() {
        let waited = waited_in("2454283078 10158142433 2621\n");
        assert_eq!(waited, Some(Duration::from_nanos(10_158_142_433)));
        assert_eq!(waited_in(""), None);
    }
}

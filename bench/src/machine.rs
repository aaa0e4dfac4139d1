//! What the numbers were measured on.

use std::fmt;
use std::fs;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stat::ticks;

/// The machine, for who compares results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            processor: model
                .map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']))
                .to_owned(),
            cores: thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} cores", self.processor, self.cores)
    }
}

/// Processes that wanted to run, averaged over the last minute: what else kept the machine busy.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or_default()
}

/// What nobody on this machine had of its cores, all of them together, since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NotUsed {
    /// Nothing wanted to run, or what did waited for a disk.
    pub(crate) idle: Duration,
    /// The host gave it to other guests.
    pub(crate) stolen: Duration,
}

impl NotUsed {
    pub(crate) fn by_now() -> NotUsed {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        NotUsed::parse(&text).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<NotUsed> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times = line.split_whitespace().map_while(|field| field.parse().ok().map(ticks));
        let [_user, _nice, _system, idle, waiting, _irq, _softirq, stolen, ..] = times.collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(NotUsed {
            idle: idle + waiting,
            stolen,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_idle_and_what_the_host_takes_is_not() {
        let text = "cpu  100 200 300 5000000000 50 6 7 80 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let expected = NotUsed {
            idle: Duration::from_millis(50_000_000_500),
            stolen: Duration::from_millis(800),
        };
        assert_eq!(NotUsed::parse(text), Some(expected));
        assert_eq!(NotUsed::parse("cpu 1 2 3\n"), None);
    }
}

//! CPU time of a server that works in processes of its own, as `PostgreSQL` does: of those that run, and of those that
//! have ended.

use std::fs;
use std::time::Duration;

use crate::stat::Stat;

/// How often its processes are looked through once more because one of them has ended meanwhile.
const TRIES: u32 = 5;

/// Of the server and of everything that it has started itself; `None` when there is no such server.
pub(crate) fn of(server: u32) -> Option<Duration> {
    let mut before = Stat::of(server)?;
    let mut sum = Duration::ZERO;
    for _ in 0..TRIES {
        let running = cpu_of_children(server);
        let after = Stat::of(server)?;
        sum = after.cpu + after.cpu_of_ended_children + running;
        if after.cpu_of_ended_children == before.cpu_of_ended_children {
            break;
        }
        // Who has ended in between may be in both, or in neither.
        before = after;
    }
    Some(sum)
}

fn cpu_of_children(server: u32) -> Duration {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = pids.filter_map(Stat::of).filter(|stat| stat.parent == server);
    children.map(|stat| stat.cpu).sum()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::thread;

    use super::*;

    const PATIENCE: u32 = 6_000;

    #[test]
    fn what_a_process_has_used_is_not_lost_with_its_end() {
        let work = "(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); read line";
        let mut server = Command::new("sh");
        server.args(["-c", work]).stdin(Stdio::piped());
        let mut server = server.spawn().expect("a shell");
        let pid = server.id();
        let (mut while_it_ran, mut has_ended) = (Duration::ZERO, false);
        for _ in 0..PATIENCE {
            let stat = Stat::of(pid).expect("it waits for a line");
            if !stat.cpu_of_ended_children.is_zero() {
                has_ended = true;
                break;
            }
            while_it_ran = while_it_ran.max(cpu_of_children(pid));
            thread::sleep(Duration::from_millis(10));
        }
        let all = of(pid).expect("it waits for a line");
        drop(server.stdin.take());
        server.wait().expect("it has no more to read");
        assert!(has_ended && !while_it_ran.is_zero(), "it was not seen at work");
        assert!(all >= while_it_ran, "{all:?} are less than {while_it_ran:?}");
    }
}

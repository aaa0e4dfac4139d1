//! The shared memory segment that a killed `PostgreSQL` leaves behind.
//!
//! The system keeps it until it is removed by hand, and allows only a few thousand. A server that starts again on the
//! same data takes it over; when the data go away, it has to go with them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Removes the segment that the dead server of this data directory left, if it did.
///
/// The segment counts as that server's only when its key and its id are those of the lock file and nobody uses it: ids
/// start again with the machine.
pub(crate) fn remove_segment(data_dir: &Path) {
    let lock_file = fs::read_to_string(data_dir.join("postmaster.pid")).unwrap_or_default();
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    if let Some(id) = orphan(&lock_file, &segments) {
        // Best effort: 56 bytes that the next restart of the machine frees as well.
        let _ = Command::new("ipcrm")
            .args(["-m", &id.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

fn orphan(lock_file: &str, segments: &str) -> Option<i64> {
    // The seventh line of `postmaster.pid`: key and id of the segment.
    let mut numbers = lock_file
        .lines()
        .nth(6)?
        .split_whitespace()
        .map_while(|number| number.parse::<i64>().ok());
    let (key, id) = (numbers.next()?, numbers.next()?);
    let unused = segments.lines().filter_map(|line| {
        // key, id, permissions, size, creator, last user, number of users, ...
        let fields: Vec<i64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        matches!(fields[..], [_, _, _, _, _, _, 0, ..]).then(|| (fields[0], fields[1]))
    });
    unused.into_iter().find(|segment| *segment == (key, id)).map(|_| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_FILE: &str = "28179\n/data\n1\n29598\n/socket\n127.0.0.1\n  5382471         8\nready   \n";
    const HEADING: &str = "       key      shmid perms size  cpid  lpid nattch   uid\n";

    #[test]
    fn only_the_unused_segment_with_the_key_and_the_id_of_the_lock_file_is_removed() {
        let listed = |line: &str| orphan(LOCK_FILE, &format!("{HEADING}{line}\n"));
        assert_eq!(
            listed("   5382471          8   600   56 28179 28179      0   101"),
            Some(8)
        );
        assert_eq!(
            listed("   5382471          8   600   56 28179 28179      6   101"),
            None,
            "in use"
        );
        assert_eq!(
            listed("   9999999          8   600   56 28179 28179      0   101"),
            None,
            "somebody else's"
        );
        assert_eq!(orphan("28179\n/data\n", HEADING), None);
    }
}

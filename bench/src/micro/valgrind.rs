//! What a record costs, counted by callgrind: instructions, and calls of the allocator. Counts do not depend on what else
//! the machine does.
//!
//! This program runs itself with few passes and with many; the difference has neither its start nor its preparations.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;
use tempfile::TempDir;

use super::cases::Case;
use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const PROGRAM: &str = "valgrind";
const LIMIT: Duration = Duration::from_mins(10);
/// Buffers have grown to their size when the first of them are over.
const PASSES: [u32; 2] = [10, 60];
/// The ways into the allocator. Tools that count allocations put one of their own there, which does not know all of these.
const ALLOCATOR: [&str; 7] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "mallocx",
    "rallocx",
];

/// In the steady state, for one record.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Counts {
    pub(super) instructions: f64,
    pub(super) allocations: f64,
}

/// Whether valgrind can be run.
pub(super) fn is_there() -> bool {
    let mut version = Command::new(PROGRAM);
    version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Counts a case.
pub(super) fn count(case: Case, interrupt: &Interrupt) -> Result<Counts, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::file("make", &env::temp_dir()))?;
    let per_record = |counted: [u64; 2]| {
        let records = u64::from(case.records() * (PASSES[1] - PASSES[0]));
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let per_record = counted[1].saturating_sub(counted[0]) as f64 / records as f64;
        per_record
    };
    let [few, many] = PASSES;
    let few = totals(case, few, &folder, interrupt)?;
    let many = totals(case, many, &folder, interrupt)?;
    Ok(Counts {
        instructions: per_record([few.instructions, many.instructions]),
        allocations: per_record([few.allocations, many.allocations]),
    })
}

/// Of a whole run.
struct Totals {
    instructions: u64,
    allocations: u64,
}

fn totals(case: Case, passes: u32, folder: &TempDir, interrupt: &Interrupt) -> Result<Totals, Failure> {
    let out = folder.path().join("callgrind.out");
    let own = env::current_exe().map_err(Failure::file("find", Path::new("this program")))?;
    let mut command = Command::new(PROGRAM);
    command.arg("--tool=callgrind");
    command.arg(format!("--callgrind-out-file={}", out.display())).arg(own);
    command.args(["micro", "--once", case.name(), "--iterations", &passes.to_string()]);
    Child::spawn(command, PROGRAM, &folder.path().join("callgrind.log"))?.wait(LIMIT, interrupt)?;
    let text = fs::read_to_string(&out).map_err(Failure::file("read", &out))?;
    let instructions = instructions(&text).ok_or_else(|| Failure::content(&out, &"there is no total in it"))?;
    match allocations(&text) {
        // Every program allocates something when it starts.
        0 => Err(Failure::content(&out, &"no call of the allocator is in it")),
        allocations => Ok(Totals {
            instructions,
            allocations,
        }),
    }
}

fn instructions(out: &str) -> Option<u64> {
    let (_, rest) = out.split_once("totals:")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A function is named once, and called by its number from then on (Callgrind format specification, "name compression").
fn allocations(out: &str) -> u64 {
    let mut names = HashMap::new();
    let (mut called, mut calls) = ("", 0);
    for line in out.lines() {
        let (function, is_called) = match (line.strip_prefix("cfn="), line.strip_prefix("fn=")) {
            (Some(function), _) => (function, true),
            (None, Some(function)) => (function, false),
            (None, None) => {
                let count = line.strip_prefix("calls=").and_then(|rest| rest.split(' ').next());
                if ALLOCATOR.contains(&called) {
                    calls += count.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
                }
                continue;
            }
        };
        let (number, name) = function.split_once(' ').unwrap_or((function, ""));
        if !name.is_empty() {
            names.insert(number, name);
        }
        if is_called {
            called = names.get(number).copied().unwrap_or_default();
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_of_callgrind_is_read() {
        let out = "events: Ir\nfn=(1) main\n16 300\nsummary: 90\n\ntotals: 126651\n";
        assert_eq!(instructions(out), Some(126_651));
        assert_eq!(instructions("events: Ir\n"), None);
    }

    #[test]
    fn calls_of_the_allocator_are_counted_whoever_makes_them() {
        let out = "fn=(1) main\n16 3\ncfn=(2) malloc\ncalls=5 0\n16 20\ncfn=(3) free\ncalls=7 0\n16 8\n\n\
                   fn=(2)\n1 9\n\nfn=(4) grow\ncfn=(2)\ncalls=2 0\n3 4\ncfn=(5) realloc\ncalls=1 0\n3 4\n";
        assert_eq!(allocations(out), 8);
        assert_eq!(allocations("fn=(1) main\n16 3\n"), 0);
    }
}

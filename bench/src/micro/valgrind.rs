//! What a record costs, counted: instructions by callgrind, allocations by memcheck. Counts do not depend on what else
//! the machine does.
//!
//! This program runs itself with few passes and with many; the difference has neither its start nor its preparations.

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
    let instructions = [
        instructions(case, few, &folder, interrupt)?,
        instructions(case, many, &folder, interrupt)?,
    ];
    let allocations = [
        allocations(case, few, &folder, interrupt)?,
        allocations(case, many, &folder, interrupt)?,
    ];
    Ok(Counts {
        instructions: per_record(instructions),
        allocations: per_record(allocations),
    })
}

fn instructions(case: Case, passes: u32, folder: &TempDir, interrupt: &Interrupt) -> Result<u64, Failure> {
    let out = folder.path().join("callgrind.out");
    let tool = [
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    run(&tool, case, passes, &folder.path().join("callgrind.log"), interrupt)?;
    number_after("totals:", &out)
}

fn allocations(case: Case, passes: u32, folder: &TempDir, interrupt: &Interrupt) -> Result<u64, Failure> {
    let log = folder.path().join("memcheck.log");
    let tool = ["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"].map(str::to_owned);
    run(&tool, case, passes, &log, interrupt)?;
    number_after("total heap usage:", &log)
}

fn run(tool: &[String], case: Case, passes: u32, log: &Path, interrupt: &Interrupt) -> Result<(), Failure> {
    let own = env::current_exe().map_err(Failure::file("find", Path::new("this program")))?;
    let mut command = Command::new(PROGRAM);
    command.args(tool).arg(own);
    command.args(["micro", "--once", case.name(), "--iterations", &passes.to_string()]);
    Child::spawn(command, PROGRAM, log)?.wait(LIMIT, interrupt)
}

fn number_after(label: &str, file: &Path) -> Result<u64, Failure> {
    let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
    parse(label, &text).ok_or_else(|| Failure::content(file, &format!("there is no number after {label:?}")))
}

/// The number that follows a label, written with or without separators of thousands.
fn parse(label: &str, text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(label)?;
    let number = rest.split_whitespace().next()?;
    number.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_totals_of_callgrind_are_read() {
        let out = "events: Ir\nfn=(1) main\n16 300\nsummary: 90\n\ntotals: 126651\n";
        assert_eq!(parse("totals:", out), Some(126_651));
        assert_eq!(parse("totals:", "events: Ir\n"), None);
    }

    #[test]
    fn the_heap_usage_of_memcheck_is_read() {
        let log = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,234 allocs, 1,207 frees, 79,270 bytes allocated\n";
        assert_eq!(parse("total heap usage:", log), Some(1_234));
    }
}

//! An archive that a program takes, file by file, on its standard input.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{ArchiveError, ArchiveFile};
use crate::program::{Complaints, Group, wait};

/// Hands the file over. The program has it when it ends with 0, having read all of it.
pub(super) fn keep(
    program: &str,
    arguments: &[String],
    timeout_ms: u64,
    file: &ArchiveFile,
) -> Result<(), ArchiveError> {
    run(program, arguments, Duration::from_millis(timeout_ms), file).map_err(ArchiveError::Command)
}

fn run(program: &str, arguments: &[String], limit: Duration, file: &ArchiveFile) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("ARCHIVE_FILE", file.name())
        .env("ARCHIVE_MANIFEST", file.manifest().to_json())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let group = Group::of(&child);
    let said = Complaints::of(child.stderr.take());
    let input = child.stdin.take();
    let bytes = file.bytes();
    // On a thread of its own: a program that does not read must not outlive its time.
    let (status, is_read) = thread::scope(|scope| {
        let feeder = scope.spawn(move || feed(input, bytes));
        let status = wait(&mut child, Instant::now() + limit);
        // Whatever it has started ends with it, and so does whoever writes to it.
        drop(group);
        let _ = child.wait();
        (status, feeder.join().unwrap_or(false))
    });
    match status {
        None => Err(format!(
            "{program} did not end within {} ms{}",
            limit.as_millis(),
            said.shown()
        )),
        Some(status) if !status.success() => Err(format!("{program} ended with {status}{}", said.shown())),
        Some(_) if !is_read => Err(format!("{program} ended with 0, and had not read all of its input")),
        Some(_) => Ok(()),
    }
}

/// Whether all of it was taken.
fn feed(input: Option<ChildStdin>, bytes: &[u8]) -> bool {
    input.is_some_and(|mut input| input.write_all(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Line, Origin, Unmappable};
    use crate::program::LOOK_EVERY;

    fn file(rows: usize) -> ArchiveFile {
        let origin = Origin {
            slot: "s".to_owned(),
            outbox: "default".to_owned(),
            table: "public.outbox".to_owned(),
            committed_before: "0/1".to_owned(),
        };
        let mut file = ArchiveFile::new(origin, "now");
        for row in 0..rows {
            let which = Unmappable {
                id: row.to_string(),
                why: "x".repeat(100),
            };
            let whole = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
            file.push(&Line::of_unmappable("default", "public.outbox", which, whole));
        }
        file
    }

    fn sh(script: &str, rows: usize, limit_ms: u64) -> Result<(), String> {
        let arguments = ["-c".to_owned(), script.to_owned()];
        run("/bin/sh", &arguments, Duration::from_millis(limit_ms), &file(rows))
    }

    #[test]
    fn a_program_gets_the_whole_file_with_its_name_and_its_manifest() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!(
            "cat > {0}/$ARCHIVE_FILE && printf %s \"$ARCHIVE_MANIFEST\" > {0}/manifest",
            folder.path().display()
        );
        sh(&script, 10_000, 30_000).expect("kept");
        let kept = std::fs::read(folder.path().join("default-now.jsonl")).expect("a file");
        assert_eq!(kept, file(10_000).bytes());
        let manifest = std::fs::read_to_string(folder.path().join("manifest")).expect("a file");
        assert_eq!(manifest.trim_end(), file(10_000).manifest().to_json().trim_end());
    }

    #[test]
    fn a_program_that_fails_does_not_read_or_does_not_end_has_kept_nothing() {
        for (script, limit_ms, why) in [
            ("echo no space >&2; exit 3", 30_000, "3; it said: no space"),
            ("exit 0", 30_000, "had not read all"),
            ("cat >/dev/null; sleep 60", 100, "did not end within 100 ms"),
            ("sleep 60", 100, "did not end within 100 ms"),
        ] {
            let said = sh(script, 10_000, limit_ms).expect_err(script);
            assert!(said.contains(why), "{script}: {said}");
        }
        let said = run("/no/such/program", &[], LOOK_EVERY, &file(1)).expect_err("none");
        assert!(said.starts_with("/no/such/program cannot be run"), "{said}");
    }
}

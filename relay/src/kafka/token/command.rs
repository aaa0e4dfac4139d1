//! Runs the program that prints a token: without a shell, for a bounded time, with a bounded output.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrecy::SecretString;

use crate::program::{Complaints, Group, read, wait};

const RUN_MAX: Duration = Duration::from_secs(10);
const PRINTED_BYTES_MAX: u64 = 64 * 1024;

/// What the program prints.
pub(super) fn run(program: &str, arguments: &[String]) -> Result<SecretString, String> {
    run_for(program, arguments, RUN_MAX)
}

fn run_for(program: &str, arguments: &[String], limit: Duration) -> Result<SecretString, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let group = Group::of(&child);
    let deadline = Instant::now() + limit;
    let printed = read(child.stdout.take(), PRINTED_BYTES_MAX + 1);
    let said = Complaints::of(child.stderr.take());
    let Some(status) = wait(&mut child, deadline) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!(
            "{program} did not end within {} s{}",
            limit.as_secs(),
            said.shown()
        ));
    };
    // Whatever it has left behind would keep the pipes open.
    drop(group);
    if !status.success() {
        return Err(format!("{program} ended with {status}{}", said.shown()));
    }
    let left = deadline.saturating_duration_since(Instant::now());
    let printed = printed
        .recv_timeout(left)
        .map_err(|_| format!("{program} left its output open"))?;
    if printed.len() as u64 > PRINTED_BYTES_MAX {
        return Err(format!("{program} printed more than {PRINTED_BYTES_MAX} bytes"));
    }
    let printed = String::from_utf8(printed).map_err(|_| format!("{program} printed what is not text"))?;
    Ok(printed.into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::program::LOOK_EVERY;

    fn sh(script: &str) -> Result<SecretString, String> {
        run_for(
            "/bin/sh",
            &["-c".to_owned(), script.to_owned()],
            Duration::from_secs(30),
        )
    }

    #[test]
    fn what_it_prints_is_the_token_and_what_it_complains_about_is_the_message() {
        assert_eq!(sh("printf abc").expect("a token").expose_secret(), "abc");
        let why = sh("echo no role >&2; echo secret; exit 3").expect_err("it failed");
        assert!(why.contains("3; it said: no role") && !why.contains("secret"), "{why}");
        let why = run("/no/such/program", &[]).expect_err("there is none");
        assert!(why.starts_with("/no/such/program cannot be run"), "{why}");
    }

    #[test]
    fn neither_its_time_nor_its_output_is_without_a_bound() {
        let why = run_for("/bin/sleep", &["60".to_owned()], Duration::from_millis(50)).expect_err("too long");
        assert!(why.contains("did not end"), "{why}");
        let why = sh("head -c 70000 /dev/zero").expect_err("too much");
        assert!(why.contains("more than 65536 bytes"), "{why}");
    }

    #[test]
    fn of_what_it_says_only_the_last_line_is_shown() {
        let why = sh("echo 'Authorization: Basic c2VjcmV0' >&2; echo no route >&2; exit 1").expect_err("it failed");
        assert!(why.ends_with("it said: no route"), "{why}");
    }

    /// Their pipe would hold a thread of the relay for as long as they live.
    #[test]
    fn whatever_it_has_started_ends_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! >{}; echo token", file.display());
        assert_eq!(sh(&script).expect("a token").expose_secret(), "token\n");
        let pid: i32 = std::fs::read_to_string(&file)
            .expect("a file")
            .trim()
            .parse()
            .expect("an id");
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_gone = || state().is_empty() || state().contains(") Z ");
        let looks = (0..3_000).map(|_| thread::sleep(LOOK_EVERY));
        assert!(looks.into_iter().any(|()| is_gone()), "it is still there: {}", state());
    }

    #[test]
    fn an_argument_is_not_read_by_a_shell() {
        let printed = run("/bin/echo", &["$HOME; exit".to_owned()]).expect("printed");
        assert_eq!(printed.expose_secret(), "$HOME; exit\n");
    }
}

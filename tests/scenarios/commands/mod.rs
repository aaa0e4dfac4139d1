//! The commands that ask a server something and end: what they do, what they leave alone, and what they say.

mod config;
mod healthcheck;
mod migrate;
mod passwords;
mod slot;

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use outbox_relay_tests::failure::{Failure, Outcome};
use outbox_relay_tests::program::Ended;
use outbox_relay_tests::scenario::Scenario;

/// What a command must not promise: it ends.
const PROMISES: [&str; 3] = ["by itself", "connects anew", "nothing if"];

/// The arguments of `migrate` as the superuser, and more.
fn migrate(scenario: &Scenario, more: &[&str]) -> Outcome<Ended> {
    let file = scenario.file("superuser").display().to_string();
    let arguments = [&["migrate", "--user", "postgres", "--password-file", &file], more].concat();
    scenario.command(&arguments)
}

/// What `migrate --print` prints.
fn printed(scenario: &Scenario, more: &[&str]) -> Outcome<String> {
    let ended = scenario.command(&[&["migrate", "--print"], more].concat())?;
    ended.must(0, &[])?;
    Ok(ended.output)
}

/// Runs a script with psql as the superuser, and stops at its first error.
fn psql(scenario: &Scenario, script: &str) -> Outcome<Ended> {
    let program = scenario.servers.postgres()?.bin_dir.join("psql");
    let mut psql = Command::new(program)
        .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"])
        .arg(scenario.conninfo()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = psql.stdin.take().ok_or_else(|| Failure::new("psql has no input"))?;
    match input.write_all(script.as_bytes()) {
        // It has ended at an error, and does not read the rest.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    drop(input);
    let output = psql.wait_with_output()?;
    Ok(Ended {
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    })
}

/// The scenario's database as statements, with the same names for every scenario.
fn dump(scenario: &Scenario) -> Outcome<String> {
    let program = scenario.servers.postgres()?.bin_dir.join("pg_dump");
    let output = Command::new(program)
        .args(["--schema-only", "--dbname"])
        .arg(scenario.conninfo()?)
        .output()?;
    if !output.status.success() {
        return Err(Failure::new(format!("pg_dump: {output:?}")));
    }
    let text = String::from_utf8_lossy(&output.stdout).replace(scenario.name(), "scenario");
    // Newer versions begin and end with a word that is another each time.
    let lines = text.lines().filter(|line| !line.contains("restrict"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

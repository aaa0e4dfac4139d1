//! The question before letters are decided about.

use std::io::Write;
use std::process::{Command, Stdio};

use outbox_relay_tests::failure::{Failure, Outcome};
use outbox_relay_tests::program::{Ended, forget_configuration, program};
use outbox_relay_tests::scenario::Scenario;

use super::letters::put_two_keys;
use super::{migrated, operate, states_are};

/// Runs a redrive on a terminal of its own and answers.
fn answered(scenario: &Scenario, answer: &str) -> Outcome<Ended> {
    let line = format!(
        "{} --config {} dead-letters redrive --key other --reason w --user {}_operator --password-file {}",
        program()?.get_program().to_string_lossy(),
        scenario.file("relay.toml").display(),
        scenario.name(),
        scenario.file("password").display()
    );
    let mut script = Command::new("script");
    forget_configuration(&mut script);
    let mut script = script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = script.stdin.take().ok_or_else(|| Failure::new("no input"))?;
    input.write_all(format!("{answer}\n").as_bytes())?;
    let output = script.wait_with_output()?;
    drop(input);
    Ok(Ended {
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).replace('\r', ""),
    })
}

#[test]
fn whoever_says_no_or_cannot_be_asked_changes_nothing_and_whoever_says_yes_does() -> Outcome {
    let scenario = migrated("asked")?;
    put_two_keys(&scenario)?;
    let as_before = "a1 failed, a2 parked, a3 parked, a4 failed, a5 parked, b1 failed";
    let ended = operate(
        &scenario,
        &["dead-letters", "redrive", "--key", "other", "--reason", "w"],
    )?;
    ended.must_refuse(
        "not_confirmed",
        &["topic orders: 1 letter, key other", "no terminal", "--yes"],
    )?;
    for no in ["n", "", "yess"] {
        let ended = answered(&scenario, no)?;
        ended.must_refuse("not_confirmed", &["Go on? [y/N]", "nothing was done"])?;
    }
    states_are(&scenario, as_before)?;
    answered(&scenario, "y")?.must(0, &["1 marked"])?;
    states_are(
        &scenario,
        "a1 failed, a2 parked, a3 parked, a4 failed, a5 parked, b1 redriving",
    )
}

//! Tokens end. The relay has the next one before that, and says so when there is none.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::{broker_rules, doors, lead_to, token_script, write};
use crate::bad_input::is_halted;

const LIFE_S: u64 = 6;
const COMMAND: &str = "kafka.oauth_token_command";
const FILE: &str = "kafka.oauth_token_file";

fn with_token_door(label: &str) -> Outcome<(Scenario, String)> {
    let mut scenario = Setup::new(label).start()?;
    let port = doors(&scenario)?.login;
    lead_to(&mut scenario, port)?;
    let user = scenario.name().to_owned();
    Ok((scenario, user))
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// The broker ends a connection with the token that it was made with, unless a newer one is shown before.
#[test]
fn a_token_is_replaced_before_it_ends_and_nothing_stops() -> Outcome {
    let (mut scenario, user) = with_token_door("token_life")?;
    let mut rules = broker_rules(&scenario)?;
    rules.allow_write(&format!("User:{user}"), &scenario.topic())?;
    let calls = scenario.file("calls");
    let script = token_script(&user, LIFE_S, &calls.display().to_string());
    let script = write(&scenario, "token.sh", &format!("{script}echo \"$token\"\n"))?;
    scenario.settings.set(COMMAND, vec!["/bin/sh", &script]);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    let first_ends_s = now_s() + LIFE_S;
    wait_for("the first token to end", || {
        writer.write(1).map_err(|failure| failure.to_string())?;
        if now_s() > first_ends_s {
            Ok(())
        } else {
            Err(format!("{}", now_s()))
        }
    })?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history())?;
    let calls = fs::read_to_string(calls)?.lines().count();
    ensure((2..=5).contains(&calls), || format!("{calls} tokens"))?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    ensure(rebuilds == 0, || format!("{rebuilds} producers"))
}

/// What the program says on its standard error is the reason; a file that is mended is read at once.
#[test]
fn without_a_token_the_relay_says_why_and_goes_on_with_the_next() -> Outcome {
    let (mut scenario, user) = with_token_door("no_token")?;
    let mut rules = broker_rules(&scenario)?;
    rules.allow_write(&format!("User:{user}"), &scenario.topic())?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;

    let failing = write(&scenario, "failing.sh", "echo the role is gone >&2; exit 4\n")?;
    scenario.settings.set(COMMAND, vec!["/bin/sh", &failing]);
    let mut other = scenario.relay()?;
    // It has read its configuration, which the next one replaces.
    other.wait_for_readiness("its listener", |_| true)?;
    scenario.settings.remove(COMMAND);
    let file = write(&scenario, "token", &print_token(&scenario, &user, 0)?)?;
    scenario.settings.set(FILE, file);
    let mut relay = scenario.relay()?;
    is_halted(
        &mut other,
        "kafka_token_unavailable",
        "exit status: 4; it said: the role is gone",
    )?;
    other.kill()?;
    is_halted(&mut relay, "kafka_token_unavailable", "the token ended")?;
    ensure(scenario.records()?.is_empty(), || "something was sent".to_owned())?;
    let token = print_token(&scenario, &user, 300)?;
    write(&scenario, "token", &token)?;
    relay.wait_for_phase("streaming")?;
    let said = relay.log();
    let lines = said
        .lines()
        .filter(|line| line.contains("kafka_token_unavailable"))
        .count();
    ensure(lines == 1, || format!("{lines} lines:\n{said}"))?;
    ensure(!said.contains(token.trim()), || "a token is in the log".to_owned())?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

fn print_token(scenario: &Scenario, user: &str, life_s: u64) -> Outcome<String> {
    let script = token_script(user, life_s, "/dev/null");
    let script = write(scenario, "print.sh", &format!("{script}echo \"$token\"\n"))?;
    let output = std::process::Command::new("/bin/sh").arg(script).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

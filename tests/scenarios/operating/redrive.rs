//! `dead-letters redrive`: it marks, the relay publishes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::program;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use serde_json::{Value, json};

use super::letters::{LETTER, Letter, put, put_many, put_two_keys};
use super::relay::{Holder, while_published};
use super::{admit, migrated, noted, operate, states_are};

const WHY: [&str; 2] = ["--reason", "the topic's limit is raised"];

fn redrive(arguments: &[&'static str]) -> Vec<&'static str> {
    [&["dead-letters", "redrive"], arguments, &WHY[..]].concat()
}

fn count(scenario: &Scenario, what: &str) -> Outcome<String> {
    let count = scenario
        .database()?
        .text(&format!("SELECT count(*)::text FROM {what}"), &[])?;
    Ok(count.unwrap_or_default())
}

#[test]
fn a_redrive_marks_what_failed_and_releases_what_waits_behind_it_for_the_relay_to_publish() -> Outcome {
    let scenario = migrated("marked")?;
    let letters = put_two_keys(&scenario)?;
    let ended = operate(
        &scenario,
        &redrive(&["--key", "k", "--yes", "--actor", "jo", "--correlation-id", "INC-7"]),
    )?;
    let said = [
        "2 dead letters of slot",
        "topic orders: 2 letters, key k",
        "released behind them: 3 parked letters",
        "2 marked; 3 released",
        "5 marked, waiting: no relay streams from slot",
        "--execute",
        "audit: ",
    ];
    ended.must(0, &said)?;
    states_are(
        &scenario,
        "a1 redriving, a2 redriving, a3 redriving, a4 redriving, a5 redriving, b1 failed",
    )?;
    let (first, fourth) = (letters[0], letters[3]);
    let expected = format!(
        "dead_letters.redrive | slot {}, letters {first}, {fourth} | the topic's limit is raised | 5 to be published, 3 of them \
         released",
        scenario.name()
    );
    let newest = noted(&scenario)?;
    ensure(newest == expected, || format!("{newest}\n  instead of {expected}"))?;
    let who = "SELECT concat_ws(' ', actor, database_role, correlation_id, os_user <> '')
         FROM outbox_relay.audit ORDER BY seq DESC LIMIT 1";
    let who = scenario.database()?.text(who, &[])?;
    ensure(who == Some(format!("jo {}_operator INC-7 t", scenario.name())), || {
        format!("{who:?}")
    })
}

/// The earlier of two that failed alone.
#[test]
fn what_waits_behind_a_letter_that_is_left_out_goes_on_waiting() -> Outcome {
    let scenario = migrated("left_out")?;
    let letters = put_two_keys(&scenario)?;
    let first = letters[0].to_string();
    let arguments = ["dead-letters", "redrive", &first, "--yes", "--reason", "w"];
    let said = [
        "released behind them: 2 parked",
        "still waiting for something else: 1 parked letter",
    ];
    operate(&scenario, &arguments)?.must(0, &said)?;
    states_are(
        &scenario,
        "a1 redriving, a2 redriving, a3 redriving, a4 failed, a5 parked, b1 failed",
    )
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() -> Outcome {
    let scenario = migrated("dry")?;
    put_two_keys(&scenario)?;
    let rows = count(&scenario, "outbox_relay.audit")?;
    let ended = operate(&scenario, &["dead-letters", "redrive", "--all", "--dry-run"])?;
    ended.must(
        0,
        &[
            "3 dead letters",
            "2 keys (k, other)",
            "released behind them: 3",
            "nothing was done",
        ],
    )?;
    let json = operate(
        &scenario,
        &["dead-letters", "discard", "--key", "k", "--dry-run", "--json"],
    )?;
    let events: Vec<Value> = json
        .output
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let events: Vec<&Value> = events.iter().map(|letter| &letter["event_id"]).collect();
    ensure(events == [&json!("a1"), &json!("a4")], || json.output.clone())?;
    states_are(
        &scenario,
        "a1 failed, a2 parked, a3 parked, a4 failed, a5 parked, b1 failed",
    )?;
    ensure(count(&scenario, "outbox_relay.audit")? == rows, || {
        "it was noted".to_owned()
    })
}

/// Two letters fail once more.
#[test]
fn a_redrive_waits_until_the_relay_has_published_and_names_what_failed_again() -> Outcome {
    let scenario = Setup::new("awaited").without_topic().start()?;
    admit(&scenario)?;
    put_many(&scenario, 1_200)?;
    let _holder = Holder::of_slot(&scenario)?;
    let all = redrive(&["--all", "--yes", "--json"]);
    let ended = while_published(&scenario, || operate(&scenario, &all))?;
    ended.must(0, &["1200 published"])?;
    let line = ended.output.lines().next().unwrap_or_default();
    let object: Value = serde_json::from_str(line)?;
    ensure(
        object["marked"] == 1_200 && object["published"] == 1_200 && object["left"] == 0,
        || line.to_owned(),
    )?;

    let letter = |event| Letter { event, ..LETTER };
    let letters = put(
        &scenario,
        &[
            letter("good"),
            Letter {
                key: Some(b"j"),
                ..letter("bad")
            },
        ],
    )?;
    let ended = while_published(&scenario, || operate(&scenario, &redrive(&["--all", "--yes"])))?;
    let failed = format!("letter {}: record_too_large: it is too large", letters[1]);
    ended.must_refuse("redrive_failed_again", &["1 published; 1 failed again", &failed])?;

    let ended = operate(&scenario, &redrive(&["--all", "--yes", "--no-wait"]))?;
    ended.must(0, &["1 marked", "1 left to the relay"])
}

#[test]
fn a_redrive_into_a_pause_says_so_and_does_not_wait_for_its_end() -> Outcome {
    let scenario = Setup::new("into_pause").without_topic().start()?;
    admit(&scenario)?;
    put_two_keys(&scenario)?;
    let _holder = Holder::of_slot(&scenario)?;
    operate(&scenario, &["pause", "--reason", "w"])?.must(0, &[])?;
    let ended = operate(&scenario, &redrive(&["--key", "other", "--yes"]))?;
    ended.must(
        0,
        &[
            "the relay is paused: nothing is published",
            "after `outbox-relay resume`",
        ],
    )?;
    operate(&scenario, &["resume", "--reason", "w"])?.must(0, &["publishes again"])?;
    operate(&scenario, &["pause", "--outbox", "default", "--reason", "w"])?.must(0, &[])?;
    // The letter that was marked before is waited for, as of the same command.
    let ended = operate(&scenario, &redrive(&["--key", "other", "--yes"]))?;
    ended.must(0, &["1 marked already", "their outbox is paused"])?;
    let ended = operate(&scenario, &redrive(&["--key", "k", "--yes"]))?;
    ended.must(
        0,
        &["released behind them: 0 parked letters", "outbox default is paused"],
    )
}

#[test]
fn many_letters_are_marked_in_batches_and_no_faster_than_is_asked_for() -> Outcome {
    let scenario = migrated("batches")?;
    put_many(&scenario, 4_100)?;
    operate(&scenario, &redrive(&["--since", "1h", "--yes"]))?.must(0, &["4100 marked"])?;
    let noted = "outbox_relay.audit WHERE action = 'dead_letters.redrive'";
    let rows = count(&scenario, noted)?;
    ensure(rows == "3", || format!("{rows} batches"))?;

    scenario
        .database()?
        .run("UPDATE outbox_relay.dead_letters SET state = 'failed' WHERE ordinal <= 250")?;
    let begin = Instant::now();
    operate(
        &scenario,
        &redrive(&["--since", "1h", "--state", "failed", "--yes", "--per-second", "100"]),
    )?
    .must(0, &["250 marked"])?;
    ensure(begin.elapsed() >= Duration::from_secs(2), || {
        format!("{:?}", begin.elapsed())
    })
}

#[test]
fn an_interrupted_redrive_leaves_what_is_marked_and_the_same_command_goes_on() -> Outcome {
    let scenario = migrated("interrupted")?;
    put_many(&scenario, 40)?;
    let name = scenario.name();
    let slowly = program()?
        .env("OUTBOX_RELAY_CONFIG", scenario.file("relay.toml"))
        .env("OUTBOX_RELAY_ACTOR", "the night shift")
        .args(redrive(&["--all", "--yes", "--per-second", "10"]))
        .args(["--user", &format!("{name}_operator"), "--password-file"])
        .arg(scenario.file("password"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_for("the first batch", || {
        match count(&scenario, "outbox_relay.dead_letters WHERE state = 'redriving'") {
            Ok(marked) if marked != "0" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    kill(Pid::from_raw(i32::try_from(slowly.id())?), Signal::SIGINT)?;
    let output = slowly.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_told = said.contains("of 40 are marked") && said.contains("code: interrupted") && said.contains("audit: ");
    ensure(output.status.code() == Some(130) && is_told, || format!("{output:?}"))?;
    let left = count(&scenario, "outbox_relay.dead_letters WHERE state = 'failed'")?;
    ensure(left != "0" && left != "40", || left.clone())?;
    let who = scenario
        .database()?
        .text("SELECT actor FROM outbox_relay.audit ORDER BY seq DESC LIMIT 1", &[])?;
    ensure(who.as_deref() == Some("the night shift"), || format!("{who:?}"))?;

    let ended = operate(&scenario, &redrive(&["--all", "--yes"]))?;
    ended.must(0, &["marked already", &format!("{left} marked"), "40 marked, waiting"])?;
    ensure(
        count(&scenario, "outbox_relay.dead_letters WHERE state = 'failed'")? == "0",
        || "some are left".to_owned(),
    )
}

#[test]
fn what_does_not_fit_is_nothing_to_do_and_no_failure() -> Outcome {
    let scenario = migrated("nothing")?;
    put_two_keys(&scenario)?;
    for verb in ["redrive", "discard"] {
        let arguments = ["dead-letters", verb, "--topic", "nowhere", "--reason", "w", "--yes"];
        operate(&scenario, &arguments)?.must(0, &["nothing to do"])?;
    }
    Ok(())
}

/// A script trusts the exit code.
#[test]
fn what_fails_again_under_execute_is_no_success() -> Outcome {
    let mut scenario = Setup::new("execute_fails").set("admin.listen", "127.0.0.1:0").start()?;
    admit(&scenario)?;
    scenario.settings.set("kafka.properties.\"message.max.bytes\"", 2_000);
    let topic = scenario.topic();
    let payload = vec![b'x'; 5_000];
    put(
        &scenario,
        &[Letter {
            payload: &payload,
            topic: Some(&topic),
            ..LETTER
        }],
    )?;
    let ended = operate(&scenario, &redrive(&["--all", "--yes", "--execute"]))?;
    ended.must_refuse(
        "redrive_failed_again",
        &["0 published; 1 failed again", "record_too_large"],
    )
}

/// It is a relay for that long: nobody else is.
#[test]
fn without_a_relay_execute_publishes_what_is_marked_and_ends() -> Outcome {
    let scenario = Setup::new("execute").set("admin.listen", "127.0.0.1:0").start()?;
    admit(&scenario)?;
    let topic = scenario.topic();
    let letter = |event, state, payload| Letter {
        event,
        state,
        payload,
        topic: Some(&topic),
        ..LETTER
    };
    let letters = [
        letter("a1", "failed", &b"1"[..]),
        letter("a2", "parked", b"2"),
        letter("a3", "parked", b"3"),
    ];
    put(&scenario, &letters)?;
    let ended = operate(&scenario, &redrive(&["--key", "k", "--yes", "--execute"]))?;
    ended.must(0, &["1 marked; 2 released behind them"])?;
    states_are(&scenario, "a1 redriven, a2 redriven, a3 redriven")?;
    let values: Vec<_> = scenario
        .records()?
        .into_iter()
        .filter_map(|record| record.value)
        .collect();
    ensure(values == [b"1", b"2", b"3"], || format!("{values:?}"))?;
    ended.must(0, &["3 published"])?;
    // Nothing is marked any more.
    operate(&scenario, &["dead-letters", "redrive", "--execute"])?.must(0, &["nothing is marked"])?;
    ensure(scenario.records()?.len() == 3, || {
        "something was published twice".to_owned()
    })
}

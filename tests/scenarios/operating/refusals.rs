//! Bad input: one clear line, an exit code, nothing changed.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

use super::letters::{LETTER, Letter, put, put_many, put_two_keys};
use super::relay::Holder;
use super::{admit, as_role, migrated, operate};

/// Everything that a command may change.
const EVERYTHING: &str = "SELECT concat_ws(' ',
    (SELECT string_agg(format('%s %s %s', letter_id, state, resolved_at), ',' ORDER BY letter_id) FROM outbox_relay.dead_letters),
    (SELECT string_agg(outbox, ',') FROM outbox_relay.pauses), (SELECT string_agg(idempotency_key, ',') FROM outbox_relay.skips),
    (SELECT string_agg(encode(hash, 'hex'), ',' ORDER BY seq) FROM outbox_relay.audit))";

fn everything(scenario: &Scenario) -> Outcome<String> {
    Ok(scenario.database()?.text(EVERYTHING, &[])?.unwrap_or_default())
}

/// A command that is refused, and leaves everything as it is.
#[track_caller]
fn refuses(scenario: &Scenario, arguments: &[&str], code: &str, said: &[&str]) -> Outcome {
    let before = everything(scenario)?;
    operate(scenario, arguments)?.must_refuse(code, said)?;
    let after = everything(scenario)?;
    ensure(before == after, || {
        format!("{arguments:?} changed something:\n{before}\n{after}")
    })
}

#[test]
fn a_letter_that_is_not_there_or_in_another_state_is_named_and_nothing_is_done() -> Outcome {
    let scenario = migrated("unknown")?;
    let letters = put_two_keys(&scenario)?;
    let letter = |event, state| Letter { event, state, ..LETTER };
    let resolved = put(
        &scenario,
        &[
            letter("r", "redriven"),
            letter("d", "discarded"),
            letter("m", "redriving"),
        ],
    )?;
    let [good, redriven, discarded, marked] =
        [letters[5], resolved[0], resolved[1], resolved[2]].map(|letter: i64| letter.to_string());
    for verb in ["redrive", "discard"] {
        let decide = |named: &[&'static str]| [&["dead-letters", verb, "--yes", "--reason", "w"], named].concat();
        refuses(
            &scenario,
            &decide(&["999999"]),
            "dead_letter_unknown",
            &["has no dead letter 999999"],
        )?;
        let event = decide(&["--id", "nobody"]);
        refuses(
            &scenario,
            &event,
            "dead_letter_unknown",
            &["no dead letter of event nobody"],
        )?;
        for (letter, state) in [(&redriven, "redriven"), (&discarded, "discarded")] {
            let both = ["dead-letters", verb, "--yes", "--reason", "w", &good, letter];
            refuses(&scenario, &both, "wrong_state", &[letter, state, "failed or parked"])?;
        }
    }
    let marked = ["dead-letters", "discard", "--yes", "--reason", "w", &good, &marked];
    refuses(&scenario, &marked, "wrong_state", &["redriving"])?;
    refuses(
        &scenario,
        &["dead-letters", "show", "999999"],
        "dead_letter_unknown",
        &["999999"],
    )?;
    // Of another slot: it is not there either.
    scenario
        .database()?
        .run("UPDATE outbox_relay.dead_letters SET slot_name = 'another'")?;
    let foreign = ["dead-letters", "redrive", "--yes", "--reason", "w", &good];
    refuses(&scenario, &foreign, "dead_letter_unknown", &[&good])
}

#[test]
fn a_letter_is_not_published_before_an_earlier_one_of_its_key() -> Outcome {
    let scenario = migrated("overtake")?;
    let letters = put_two_keys(&scenario)?;
    let (first, fourth) = (letters[0], letters[3]);
    let behind = format!("dead letter {fourth} waits behind {first}, an earlier one of its key");
    let redrive = |letter: &str| {
        let arguments = ["dead-letters", "redrive", "--yes", "--reason", "w", letter];
        refuses(
            &scenario,
            &arguments,
            "earlier_dead_letter",
            &["an earlier one of its key", "name the earlier one too"],
        )
    };
    redrive(&fourth.to_string())?;
    redrive(&letters[1].to_string())?;
    let by_filter = [
        "dead-letters",
        "redrive",
        "--yes",
        "--reason",
        "w",
        "--id",
        "a4",
        "--id",
        "b1",
    ];
    refuses(&scenario, &by_filter, "earlier_dead_letter", &[&behind])
}

/// It parks no other, and still stands behind one that does.
#[test]
fn a_skipped_letter_is_not_published_before_an_earlier_one_of_its_key_either() -> Outcome {
    let scenario = migrated("skip_overtakes")?;
    let letters = put_two_keys(&scenario)?;
    scenario.database()?.run(
        "UPDATE outbox_relay.dead_letters SET parks_key = false, error_type = 'skipped' WHERE idempotency_key = 'a4'",
    )?;
    let skipped = letters[3].to_string();
    let arguments = ["dead-letters", "redrive", "--yes", "--reason", "w", &skipped];
    refuses(
        &scenario,
        &arguments,
        "earlier_dead_letter",
        &["an earlier one of its key"],
    )?;
    let called = format!(
        "SELECT outbox_relay.letters_redrive('{}', '{{{skipped}}}', 'w', '{{}}')",
        scenario.name()
    );
    let called = scenario.database()?.run(&called);
    ensure(called.is_err(), || "the database's function lets it pass".to_owned())
}

/// Of a relay that streams the letters are its own; of one that is paused nobody's. Both would be waited for without an end.
#[test]
fn execute_is_refused_beside_a_relay_and_into_a_pause() -> Outcome {
    let scenario = Setup::new("execute_refused").without_topic().start()?;
    admit(&scenario)?;
    put_two_keys(&scenario)?;
    let execute = [
        "dead-letters",
        "redrive",
        "--all",
        "--yes",
        "--reason",
        "w",
        "--execute",
    ];
    {
        let _holder = Holder::of_slot(&scenario)?;
        refuses(
            &scenario,
            &execute,
            "slot_in_use",
            &["it publishes what is marked", "without --execute"],
        )?;
        refuses(
            &scenario,
            &["dead-letters", "redrive", "--execute"],
            "slot_in_use",
            &[scenario.name()],
        )?;
    }
    operate(&scenario, &["pause", "--reason", "w"])?.must(0, &[])?;
    refuses(
        &scenario,
        &execute,
        "wrong_state",
        &["is paused", "`outbox-relay resume`"],
    )
}

/// The database's functions would refuse the second batch alone.
#[test]
fn what_is_refused_of_many_letters_is_refused_before_the_first_of_them() -> Outcome {
    let scenario = migrated("whole_or_not")?;
    put_many(&scenario, 2_600)?;
    put_two_keys(&scenario)?;
    let failed = "UPDATE outbox_relay.dead_letters SET ordinal = 100000 + letter_id, error_type = CASE idempotency_key
         WHEN 'a1' THEN 'record_refused' ELSE 'record_too_large' END";
    scenario.database()?.run(failed)?;
    let redrive = [
        "dead-letters",
        "redrive",
        "--error-type",
        "record_too_large",
        "--yes",
        "--reason",
        "w",
    ];
    refuses(
        &scenario,
        &redrive,
        "earlier_dead_letter",
        &["an earlier one of its key"],
    )?;
    let without_topic =
        "UPDATE outbox_relay.dead_letters SET topic = NULL, aggregate_type = NULL WHERE idempotency_key = 'b1'";
    scenario.database()?.run(without_topic)?;
    let redrive = ["dead-letters", "redrive", "--all", "--yes", "--reason", "w"];
    refuses(&scenario, &redrive, "dead_letter_without_topic", &[])
}

#[test]
fn a_letter_that_nothing_says_the_topic_of_is_not_published() -> Outcome {
    let scenario = migrated("no_topic")?;
    put(
        &scenario,
        &[Letter {
            topic: None,
            aggregate_type: None,
            ..LETTER
        }],
    )?;
    let redrive = ["dead-letters", "redrive", "--all", "--yes", "--reason", "w"];
    refuses(
        &scenario,
        &redrive,
        "dead_letter_without_topic",
        &["neither topic nor aggregate type"],
    )?;
    let discard = ["dead-letters", "discard", "--all", "--yes", "--reason", "w"];
    operate(&scenario, &discard)?.must(0, &["1 discarded", "topic (none)"])
}

#[test]
fn nothing_is_done_without_a_reason_and_without_a_choice() -> Outcome {
    let scenario = migrated("no_reason")?;
    put_two_keys(&scenario)?;
    for command in [
        &["dead-letters", "redrive", "--all", "--yes"][..],
        &["dead-letters", "discard", "--all", "--yes"],
        &["pause"],
        &["resume"],
        &["skip", "e"],
    ] {
        refuses(&scenario, command, "reason_missing", &["no reason", "--reason TEXT"])?;
        refuses(
            &scenario,
            &[command, &["--reason", " "]].concat(),
            "reason_missing",
            &["--reason TEXT"],
        )?;
    }
    for verb in ["redrive", "discard"] {
        let command = ["dead-letters", verb, "--yes", "--reason", "w"];
        refuses(
            &scenario,
            &command,
            "nothing_selected",
            &["no letter and no filter", "--all"],
        )?;
    }
    let time = ["dead-letters", "list", "--since", "yesterday"];
    refuses(&scenario, &time, "command_line_wrong", &["2026-05-01T06:30:00Z"])?;
    let key = ["dead-letters", "list", "--key-hex", "0g"];
    refuses(&scenario, &key, "command_line_wrong", &["hexadecimal"])
}

#[test]
fn what_is_done_already_is_not_done_again() -> Outcome {
    let scenario = migrated("twice")?;
    put_two_keys(&scenario)?;
    let why = ["--reason", "w"];
    let refused = |command: &[&str], said: &[&str]| refuses(&scenario, &[command, &why].concat(), "wrong_state", said);
    refused(&["resume"], &["is not paused"])?;
    refused(&["resume", "--outbox", "default"], &["outbox default", "is not paused"])?;
    operate(&scenario, &["pause", "--reason", "w"])?.must(0, &[])?;
    refused(&["pause"], &["is paused already", "outbox-relay resume ends it"])?;
    let event = "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a11";
    operate(&scenario, &["skip", event, "--reason", "w"])?.must(0, &[])?;
    refused(&["skip", event], &["is named to be skipped already", "since when"])?;
    refused(
        &["skip", "a2"],
        &["a dead letter already", "parked", "dead-letters discard"],
    )?;
    for verb in ["pause", "resume"] {
        let unknown = [verb, "--outbox", "sales", "--reason", "w"];
        refuses(
            &scenario,
            &unknown,
            "outbox_unknown",
            &["no outbox sales is configured", "one of default"],
        )?;
    }
    Ok(())
}

/// Every command that the database could be too old or too new for.
const COMMANDS: [&[&str]; 9] = [
    &["dead-letters", "list"],
    &["dead-letters", "show", "1"],
    &["dead-letters", "redrive", "--all", "--yes", "--reason", "w"],
    &["dead-letters", "discard", "--all", "--yes", "--reason", "w"],
    &["pause", "--reason", "w"],
    &["resume", "--reason", "w"],
    &["skip", "e", "--reason", "w"],
    &["audit", "verify"],
    &["audit", "expire"],
];

fn as_superuser(scenario: &Scenario, arguments: &[&str], code: &str, said: &[&str]) -> Outcome {
    let file = scenario.file("superuser").display().to_string();
    let login = ["--user", "postgres", "--password-file", &file];
    scenario.command(&[arguments, &login].concat())?.must_refuse(code, said)
}

#[test]
fn a_database_that_was_not_migrated_or_not_far_enough_is_named() -> Outcome {
    let scenario = Setup::new("unmigrated").without_topic().without_migration().start()?;
    for command in COMMANDS {
        as_superuser(
            &scenario,
            command,
            "schema_not_migrated",
            &[scenario.name(), "`outbox-relay migrate`"],
        )?;
    }
    scenario.migrate()?;
    scenario
        .database()?
        .run("DELETE FROM outbox_relay.migrations WHERE version > 3")?;
    for command in COMMANDS {
        as_superuser(&scenario, command, "schema_not_migrated", &["is at version 3", "needs"])?;
    }
    Ok(())
}

#[test]
fn a_database_that_a_newer_program_migrated_is_left_alone() -> Outcome {
    let scenario = migrated("newer")?;
    put_two_keys(&scenario)?;
    scenario
        .database()?
        .run("INSERT INTO outbox_relay.migrations (version, name) VALUES (1000, 'from_the_future')")?;
    let before = everything(&scenario)?;
    let recover = ["recover", "--yes", "--reason", "w", "--since", "2000-01-01"].as_slice();
    for command in COMMANDS.into_iter().chain([["purge"].as_slice(), recover]) {
        as_superuser(
            &scenario,
            command,
            "database_newer",
            &["version 1000", "newer outbox-relay"],
        )?;
    }
    for command in ["create", "show", "drop", "forget"] {
        let ended = scenario.command(&["slot", command])?;
        ended.must_refuse("database_newer", &["version 1000", "newer outbox-relay"])?;
    }
    ensure(before == everything(&scenario)?, || "something was changed".to_owned())
}

#[test]
fn a_role_that_may_not_is_told_whose_work_it_is() -> Outcome {
    let scenario = Setup::new("not_theirs").without_topic().without_slot().start()?;
    admit(&scenario)?;
    let letters = put_two_keys(&scenario)?;
    let letter = letters[5].to_string();
    let before = everything(&scenario)?;
    let name = scenario.name();
    let (operator, auditor, janitor) = (
        format!("{name}_operator"),
        format!("{name}_auditor"),
        format!("{name}_janitor"),
    );
    let redrive = ["dead-letters", "redrive", &letter, "--yes", "--reason", "w"];
    let discard = ["dead-letters", "discard", &letter, "--yes", "--reason", "w"];
    let expire = ["audit", "expire"];
    let of_operators: [&[&str]; 5] = [
        &redrive,
        &discard,
        &["pause", "--reason", "w"],
        &["resume", "--reason", "w"],
        &["skip", "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a11", "--reason", "w"],
    ];
    for (role, commands, whose) in [
        ("auditor", &of_operators[..], &operator),
        ("janitor", &of_operators[..], &operator),
        ("operator", &[&["audit", "verify"][..], &["audit", "export"]], &auditor),
        ("operator", &[&expire[..]], &janitor),
        ("auditor", &[&expire[..]], &janitor),
        (
            "janitor",
            &[&["audit", "verify"][..], &["dead-letters", "list"]],
            &auditor,
        ),
    ] {
        for command in commands {
            let said = [
                &format!("{name}_{role} may not"),
                "permission denied",
                "as a member of",
                whose.as_str(),
            ];
            as_role(&scenario, role, command)?.must_refuse("role_not_permitted", &said)?;
        }
    }
    // The relay's own role, which a command has without flags.
    scenario
        .command(&redrive)?
        .must_refuse("role_not_permitted", &[name, &operator])?;
    scenario.command(&["dead-letters", "list"])?.must(0, &["failed 3"])?;
    ensure(before == everything(&scenario)?, || "something was changed".to_owned())
}

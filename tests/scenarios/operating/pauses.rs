//! `pause`, `resume` and `skip`.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;

use super::letters::{LETTER, Letter, put};
use super::{admit, as_role, migrated, noted, operate, states_are};

#[test]
fn a_pause_of_the_relay_says_how_long_the_wal_lasts_and_stands_until_it_is_resumed() -> Outcome {
    let setup = Setup::new("budget").private_postgres(&[("max_slot_wal_keep_size", "64MB")]);
    let scenario = setup.without_topic().start()?;
    admit(&scenario)?;
    let database = scenario.database()?;
    let kept = "SELECT safe_wal_size > 0 FROM pg_replication_slots";
    ensure(database.rows(kept, &[])?.len() == 1, || "no slot".to_owned())?;
    let ended = operate(&scenario, &["pause", "--reason", "consumers are being moved"])?;
    let name = scenario.name();
    ended.must(
        0,
        &[
            "is paused, over restarts too",
            "WAL budget: ",
            "MiB more before slot",
            name,
            "audit: ",
        ],
    )?;
    let expected = format!("pause | the relay on slot {name} | consumers are being moved | paused");
    let newest = noted(&scenario)?;
    ensure(newest == expected, || newest.clone())?;
    let listed = as_role(&scenario, "auditor", &["pause", "--list"])?;
    listed.must(0, &["PAUSED", "the relay", "consumers are being moved"])?;
    operate(&scenario, &["resume", "--reason", "they are moved"])?.must(0, &["publishes again"])?;
    operate(&scenario, &["pause", "--list"])?.must(0, &["nothing is paused"])
}

/// Its letters would wait for ever.
#[test]
fn an_outbox_that_is_paused_can_be_resumed_although_it_is_configured_no_more() -> Outcome {
    let scenario = migrated("renamed")?;
    let name = scenario.name();
    scenario.database()?.run(&format!(
        "INSERT INTO outbox_relay.pauses (slot_name, outbox, why) VALUES ('{name}', 'former', 'before it was renamed')"
    ))?;
    let other = operate(&scenario, &["resume", "--reason", "w"])?;
    other.must_refuse("wrong_state", &["paused is outbox former", "resume --outbox former"])?;
    operate(&scenario, &["resume", "--outbox", "formr", "--reason", "w"])?.must_refuse("outbox_unknown", &["formr"])?;
    operate(&scenario, &["resume", "--outbox", "former", "--reason", "w"])?.must(0, &["outbox former flows again"])?;
    operate(&scenario, &["pause", "--list"])?.must(0, &["nothing is paused"])
}

#[test]
fn a_pause_without_a_limit_of_the_wal_or_without_a_slot_says_that() -> Outcome {
    let mut scenario = migrated("unlimited")?;
    operate(&scenario, &["pause", "--reason", "w"])?.must(0, &["WAL budget: slot", "does not exist"])?;
    operate(&scenario, &["resume", "--reason", "w"])?.must(0, &[])?;
    scenario.create_slot()?;
    let ended = operate(&scenario, &["pause", "--reason", "w"])?;
    ended.must(0, &["no limit is set: max_slot_wal_keep_size = -1"])
}

#[test]
fn an_outbox_that_is_resumed_releases_what_was_parked_for_it_alone() -> Outcome {
    let scenario = migrated("one_outbox")?;
    operate(&scenario, &["pause", "--outbox", "default", "--reason", "w"])?
        .must(0, &["outbox default is paused", "set aside, parked and in order"])?;
    operate(&scenario, &["pause", "--list"])?.must(0, &["outbox default"])?;
    let letter = |event, state, key| Letter {
        event,
        state,
        key,
        ..LETTER
    };
    put(
        &scenario,
        &[
            letter("e1", "parked", Some(&b"k"[..])),
            letter("e2", "parked", None),
            Letter {
                outbox: "sales",
                ..letter("e3", "parked", Some(b"s"))
            },
        ],
    )?;
    let ended = operate(&scenario, &["resume", "--outbox", "default", "--reason", "w"])?;
    ended.must(
        0,
        &[
            "outbox default flows again; 2 parked letters",
            "and 0 that were marked before",
        ],
    )?;
    states_are(&scenario, "e1 redriving, e2 redriving, e3 parked")?;
    operate(&scenario, &["pause", "--outbox", "default", "--reason", "w"])?.must(0, &[])?;
    let again = operate(&scenario, &["resume", "--outbox", "default", "--reason", "w"])?;
    again.must(0, &["0 parked letters", "and 2 that were marked before"])?;
    operate(&scenario, &["pause", "--reason", "w"])?.must(0, &[])?;
    let relay = operate(&scenario, &["resume", "--reason", "w"])?;
    relay.must(0, &["publishes again, 2 marked letters too"])
}

#[test]
fn a_skip_is_listed_until_the_relay_comes_to_it_and_noted() -> Outcome {
    let scenario = migrated("skipped")?;
    operate(&scenario, &["skip", "--list"])?.must(0, &["no event"])?;
    let event = "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a10";
    let ended = operate(&scenario, &["skip", event, "--reason", "it names nobody"])?;
    ended.must(0, &[event, "becomes a dead letter when the relay", "audit: "])?;
    operate(&scenario, &["skip", "--list"])?.must(0, &[event, "it names nobody"])?;
    let expected = format!(
        "skip | slot {}, event {event} | it names nobody | asked for",
        scenario.name()
    );
    let newest = noted(&scenario)?;
    ensure(newest == expected, || newest.clone())
}

#[test]
fn an_id_that_no_row_can_have_is_not_skipped_and_one_that_none_has_is_warned_of() -> Outcome {
    let scenario = migrated("skipped_id")?;
    let there = "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a10";
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload) VALUES ('{there}', 'x', 'k', 'h', '1')"
    ))?;
    for wrong in ["e9", &there.to_uppercase()] {
        let ended = operate(&scenario, &["skip", wrong, "--reason", "w"])?;
        ended.must_refuse("event_id_wrong", &[wrong, "UUIDs", "in lower case"])?;
    }
    operate(&scenario, &["skip", "--list"])?.must(0, &["no event"])?;
    operate(&scenario, &["skip", there, "--reason", "w"])?.must_not_say(&["no outbox has a row"])?;
    let nowhere = "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a19";
    operate(&scenario, &["skip", nowhere, "--reason", "w"])?.must(0, &["no outbox has a row", "--withdraw"])
}

#[test]
fn a_skip_is_taken_back_until_the_relay_comes_to_it_and_noted() -> Outcome {
    let scenario = migrated("withdrawn")?;
    let event = "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a10";
    operate(&scenario, &["skip", event, "--reason", "it names nobody"])?.must(0, &[])?;
    operate(&scenario, &["skip", event, "--withdraw"])?.must_refuse("reason_missing", &["no reason"])?;
    let not_permitted = as_role(&scenario, "auditor", &["skip", event, "--withdraw", "--reason", "w"])?;
    not_permitted.must_refuse("role_not_permitted", &["skip_withdraw"])?;
    operate(&scenario, &["skip", "--list"])?.must(0, &[event])?;

    let ended = operate(
        &scenario,
        &["skip", event, "--withdraw", "--reason", "it names somebody"],
    )?;
    ended.must(0, &[event, "is not skipped any more", "audit: "])?;
    operate(&scenario, &["skip", "--list"])?.must(0, &["no event"])?;
    let expected = format!(
        "skip.withdraw | slot {}, event {event} | it names somebody | taken back",
        scenario.name()
    );
    let newest = noted(&scenario)?;
    ensure(newest == expected, || newest.clone())?;

    let again = operate(&scenario, &["skip", event, "--withdraw", "--reason", "w"])?;
    again.must_refuse("wrong_state", &[event, "is not named to be skipped"])?;
    put(&scenario, &[Letter { event, ..LETTER }])?;
    let too_late = operate(&scenario, &["skip", event, "--withdraw", "--reason", "w"])?;
    too_late.must_refuse("wrong_state", &["is a dead letter already"])?;
    let newest = noted(&scenario)?;
    ensure(newest == expected, || newest.clone())
}

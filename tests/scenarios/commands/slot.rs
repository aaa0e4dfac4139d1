//! `slot create|show|drop|forget`: on the configured slot, on none, on one in use, and never on somebody else's.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::PROMISES;

fn slot(scenario: &Scenario, arguments: &[&str], said: &[&str]) -> Outcome {
    let ended = scenario.command(&[&["slot"], arguments].concat())?;
    ended.must(0, said)?;
    ended.must_not_say(&PROMISES)
}

fn refused(scenario: &Scenario, arguments: &[&str], code: &str, said: &[&str]) -> Outcome {
    let ended = scenario.command(&[&["slot"], arguments].concat())?;
    ended.must_refuse(code, said)?;
    ended.must_not_say(&PROMISES)
}

#[test]
fn a_slot_is_made_shown_and_dropped_only_when_it_is_meant() -> Outcome {
    let mut scenario = Setup::new("slot_life").without_slot().start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let name = scenario.name();
    refused(
        &scenario,
        &["show"],
        "slot_missing",
        &[name, "does not exist", "outbox-relay slot create"],
    )?;
    slot(&scenario, &["drop", "--yes"], &[name, "does not exist"])?;
    slot(&scenario, &["forget"], &["nothing is known"])?;
    slot(&scenario, &["create"], &["creating slot", "starts at"])?;
    let confirmed = scenario.confirmed()?.to_string();
    let shown = ["in use:          no", &format!("confirmed:       {confirmed}\n")];
    slot(&scenario, &["show"], &shown)?;
    writer.write(10)?;
    refused(
        &scenario,
        &["drop"],
        "slot_holds_events",
        &["not confirmed and may hold events", "outbox-relay slot drop --yes"],
    )?;
    ensure(scenario.confirmed()?.to_string() == confirmed, || {
        "it was moved".to_owned()
    })?;
    slot(&scenario, &["drop", "--yes"], &["is dropped"])?;
    let left = scenario.database()?.confirmed(name)?;
    ensure(left.is_none(), || format!("the slot is at {left:?}"))
}

/// Nobody has to say that nothing is given up.
#[test]
fn a_slot_from_which_nothing_would_be_published_is_dropped_without_being_told_twice() -> Outcome {
    let mut scenario = Setup::new("slot_empty").private_postgres(&[]).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let before = scenario.database()?;
    before.run("CREATE TABLE other AS SELECT generate_series(1, 1000)")?;
    let version = before.text("SELECT current_setting('server_version_num')", &[])?;
    if version.is_some_and(|version| version.as_str() < "150000") {
        // It shows the begin and the end of a transaction without an event.
        return refused(&scenario, &["drop"], "slot_holds_events", &["may hold events"]);
    }
    slot(
        &scenario,
        &["drop"],
        &["holds nothing that would be published", "is dropped"],
    )?;
    let left = scenario.database()?.confirmed(scenario.name())?;
    ensure(left.is_none(), || format!("the slot is at {left:?}"))
}

#[test]
fn a_slot_that_exists_is_left_as_it_is_and_nobody_says_that_one_is_created() -> Outcome {
    let scenario = Setup::new("slot_exists").start()?;
    let confirmed = scenario.confirmed()?;
    let ended = scenario.command(&["slot", "create"])?;
    ended.must(0, &["exists already and is left as it is"])?;
    ended.must_not_say(&["creating"])?;
    ensure(scenario.confirmed()? == confirmed, || "it was moved".to_owned())
}

#[test]
fn a_slot_of_another_database_is_refused_by_every_command_and_left_alone() -> Outcome {
    let theirs = Setup::new("theirs").start()?;
    let mut ours = Setup::new("ours").without_slot().start()?;
    let (name, database) = (theirs.name().to_owned(), ours.name().to_owned());
    ours.settings.set("postgres.slot", name.as_str());
    let remember = format!("INSERT INTO outbox_relay.advisory VALUES ('{name}', '1', 1, '0/1', true, now())");
    ours.database()?.run(&remember)?;
    let said = [&*name, &database, "correct postgres.slot or postgres.database"];
    for arguments in [
        ["create"].as_slice(),
        &["show"],
        &["drop"],
        &["drop", "--yes"],
        &["forget"],
    ] {
        refused(&ours, arguments, "slot_unusable", &said)?;
    }
    theirs.confirmed()?;
    let known = ours
        .database()?
        .text("SELECT slot_name FROM outbox_relay.advisory", &[])?;
    ensure(known.as_deref() == Some(&name), || format!("forgotten: {known:?}"))
}

#[test]
fn a_slot_of_another_plugin_is_refused_by_every_command_and_left_alone() -> Outcome {
    let scenario = Setup::new("plugin").without_slot().start()?;
    let made = "SELECT pg_create_logical_replication_slot($1::text::name, 'test_decoding')::text";
    let name = scenario.name();
    scenario.database()?.rows(made, &[&name])?;
    for arguments in [["create"].as_slice(), &["show"], &["drop", "--yes"], &["forget"]] {
        refused(
            &scenario,
            arguments,
            "slot_unusable",
            &[name, "test_decoding", "pgoutput", "correct postgres.slot"],
        )?;
    }
    scenario.confirmed().map(drop)
}

#[test]
fn a_slot_in_use_is_shown_with_who_uses_it_and_dropped_only_after_the_relay_has_stopped() -> Outcome {
    let mut scenario = Setup::new("slot_in_use").start()?;
    scenario.settings.set("postgres.application_name", "shop_relay");
    let mut relay = scenario.streaming_relay()?;
    let pid = scenario.database()?.text(
        "SELECT active_pid::text FROM pg_replication_slots WHERE database = $1",
        &[&scenario.name()],
    )?;
    let holder = format!(
        "yes: shop_relay from 127.0.0.1, role {}, server process {}",
        scenario.name(),
        pid.unwrap_or_default()
    );
    slot(&scenario, &["show"], &[&holder])?;
    slot(&scenario, &["create"], &["exists already"])?;
    refused(&scenario, &["forget"], "slot_in_use", &["in use", "accepted"])?;
    for arguments in [["drop"].as_slice(), &["drop", "--yes"]] {
        refused(&scenario, arguments, "slot_in_use", &["in use", "stop the relay"])?;
    }
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history())?;
    relay.terminate()?;
    slot(&scenario, &["drop", "--yes"], &["is dropped"])
}

/// The way back that the refusal names.
#[test]
fn a_lost_slot_is_not_taken_for_one_that_exists_and_can_be_dropped_and_made_anew() -> Outcome {
    let setup = Setup::new("slot_lost").private_postgres(&[("max_slot_wal_keep_size", "1MB")]);
    let scenario = setup.start()?;
    let database = scenario.database()?;
    for _ in 0..4 {
        database.run("CREATE TABLE filler (); DROP TABLE filler")?;
        database.rows("SELECT pg_switch_wal()", &[])?;
    }
    database.run("CHECKPOINT")?;
    refused(
        &scenario,
        &["create"],
        "slot_lost",
        &["is lost", "`outbox-relay recover`"],
    )?;
    let shown = [
        "wal_status:      lost",
        "at risk after:   nothing: it is lost",
        "docs/RECOVERY.md",
    ];
    refused(&scenario, &["show"], "slot_lost", &shown)?;
    slot(&scenario, &["drop", "--yes"], &["is dropped"])?;
    slot(&scenario, &["create"], &["starts at"])
}

/// The relay on it has nothing to confirm yet: what it wrote down says nothing, and the slot's own position counts.
#[test]
fn a_fresh_slot_is_shown_with_its_own_position_while_a_relay_uses_it() -> Outcome {
    let mut scenario = Setup::new("slot_fresh").start()?;
    let _relay = scenario.streaming_relay()?;
    let noted = "SELECT confirmed_lsn::text FROM outbox_relay.advisory";
    wait_for("the relay's note", || {
        let noted = scenario.database().and_then(|database| database.text(noted, &[]));
        noted
            .map_err(|failure| failure.to_string())?
            .ok_or_else(|| "none".to_owned())
    })?;
    let ended = scenario.command(&["slot", "show"])?;
    ended.must(0, &["confirmed:       ", "in use:          yes"])?;
    ended.must_not_say(&["0/0"])
}

#[test]
fn what_the_last_relay_knew_is_shown_and_forgotten_once() -> Outcome {
    let mut scenario = Setup::new("slot_forget").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let confirmed = scenario.confirmed()?.to_string();
    let knew = format!("at least {confirmed} was confirmed, on timeline 1");
    slot(&scenario, &["show"], &[&knew, "last stop:       clean"])?;
    slot(&scenario, &["forget"], &["forgotten"])?;
    slot(&scenario, &["forget"], &["nothing is known"])?;
    let ended = scenario.command(&["slot", "show"])?;
    ended.must(0, &[&confirmed])?;
    ended.must_not_say(&["last relay knew"])
}

/// The server would go on waiting for the transaction, and make the slot when nobody expects it any more.
#[test]
fn a_slot_that_took_too_long_to_make_does_not_appear_later() -> Outcome {
    let scenario = Setup::new("slot_late").without_slot().start()?;
    let busy = scenario.database()?;
    busy.run("BEGIN; SELECT txid_current()")?;
    refused(
        &scenario,
        &["create", "--wait-ms", "1000"],
        "slot_creation_waits",
        &["could not be created", "pg_stat_activity"],
    )?;
    let database = scenario.database()?;
    wait_for("the server to give up", || {
        let creating = "SELECT count(*)::text FROM pg_stat_activity WHERE usename = $1 AND query LIKE 'CREATE_REPL%'";
        match database.text(creating, &[&scenario.name()]) {
            Ok(Some(left)) if left == "0" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    busy.run("COMMIT")?;
    let made = database.confirmed(scenario.name())?;
    ensure(made.is_none(), || format!("the slot is at {made:?}"))
}

#[test]
fn a_slot_is_kept_on_standbys_only_where_the_server_can_and_nobody_uses_it() -> Outcome {
    let setup = Setup::new("kept").private_postgres(&[]).postgres_version(16).start()?;
    refused(
        &setup,
        &["create", "--failover"],
        "failover_unsupported",
        &["PostgreSQL 16", "--failover"],
    )?;
    drop(setup);

    let mut scenario = Setup::new("kept").private_postgres(&[]).postgres_version(17).start()?;
    let keep = ["slot", "create", "--failover"];
    let mut relay = scenario.streaming_relay()?;
    scenario
        .command(&["slot", "show"])?
        .must(0, &["on standbys:     not kept"])?;
    scenario.command(&keep)?.must_refuse("slot_active", &["in use"])?;
    relay.terminate()?;
    scenario.command(&keep)?.must(0, &["kept on standbys from now on"])?;
    scenario.command(&keep)?.must(0, &["left as it is"])?;
    scenario.command(&["slot", "show"])?.must(0, &["on standbys:     kept"])
}

#[test]
fn without_the_publication_no_slot_is_made() -> Outcome {
    let scenario = Setup::new("slot_blind").without_slot().start()?;
    scenario
        .database()?
        .run(&format!("DROP PUBLICATION {}", scenario.name()))?;
    refused(&scenario, &["create"], "publication_missing", &["outbox-relay migrate"])?;
    let made = scenario.database()?.confirmed(scenario.name())?;
    ensure(made.is_none(), || format!("the slot is at {made:?}"))
}

//! A slot that is gone while the server is as before.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{arrived_once, audited, begin, look, recover, recovered};
use crate::bad_input::server::lose_slot;

/// Publishes ten rows, stops, and writes twenty more.
fn with_unpublished_rows(scenario: &mut Scenario) -> Outcome<Writer> {
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    for _ in 0..4 {
        writer.write(5)?;
    }
    Ok(writer)
}

#[test]
fn rows_behind_a_slot_that_lost_its_wal_arrive_with_their_ids_and_in_the_order_of_their_keys() -> Outcome {
    let setup = Setup::new("rec_wal").private_postgres(&[("max_slot_wal_keep_size", "1MB")]);
    let mut scenario = setup.start()?;
    let mut writer = with_unpublished_rows(&mut scenario)?;
    lose_slot(&scenario)?;
    let ended = recovered(&scenario, &[])?;
    ended.must(
        0,
        &[
            "is lost",
            "what the last relay knew",
            "30 rows, 10 in Kafka, 20 missing",
            "20 of 30 rows",
        ],
    )?;
    let relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    arrived_once(&scenario, &writer.into_history(), 20)?;
    let lines = relay.unexpected_lines();
    ensure(lines.is_empty(), || format!("unexpected in the log: {lines:?}"))?;
    let audited = audited(&scenario)?;
    let is_noted = matches!(&audited[..], [begun, done] if begun.contains("because the test: begun: drop the lost slot")
        && begun.starts_with("administration slot") && done.contains("20 rows published once more"));
    ensure(is_noted, || format!("{audited:?}"))
}

/// What Kafka had already too: a relay that was killed between the acknowledgement and the note leaves such.
#[test]
fn where_delivery_states_are_kept_recovery_tells_of_every_row() -> Outcome {
    let mut scenario = Setup::new("rec_states")
        .set("outbox.default.delivery_state", true)
        .start()?;
    let writer = with_unpublished_rows(&mut scenario)?;
    let database = scenario.database()?;
    let some = "SELECT key_hash FROM outbox_relay.delivery_state LIMIT 4";
    database.run(&format!(
        "DELETE FROM outbox_relay.delivery_state WHERE key_hash IN ({some})"
    ))?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &["is dropped"])?;
    recovered(&scenario, &["--since", "2000-01-01"])?.must(0, &["20 of 30 rows"])?;
    let told = "SELECT format('%s %s', status, count(*)) FROM outbox_relay.delivery_default GROUP BY status";
    let told = database.text(told, &[])?;
    ensure(told.as_deref() == Some("published 30"), || format!("{told:?}"))?;
    let dated = database.text(
        "SELECT count(published_at)::text FROM outbox_relay.delivery_default",
        &[],
    )?;
    ensure(dated.as_deref() == Some("26"), || {
        format!("{dated:?}: when Kafka got the four is known by nobody")
    })?;
    arrived_once(&scenario, &writer.into_history(), 20)
}

/// What the last relay knew is forgotten with the slot, so that somebody has to say since when.
#[test]
fn rows_behind_a_slot_that_was_dropped_by_hand_arrive_once_it_is_said_since_when() -> Outcome {
    let mut scenario = Setup::new("rec_dropped").start()?;
    let mut writer = with_unpublished_rows(&mut scenario)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &["is dropped"])?;
    writer.write(5)?;
    let refused = recover(&scenario, &[])?;
    refused.must_refuse("recovery_unsure", &["nothing is left of a relay", "--since TIME"])?;
    let slot = scenario.database()?.confirmed(scenario.name())?;
    ensure(slot.is_none(), || format!("a slot at {slot:?}"))?;
    recovered(&scenario, &["--since", "2000-01-01"])?.must(0, &["does not exist", "25 of 35 rows"])?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    arrived_once(&scenario, &writer.into_history(), 25)
}

/// Whoever makes the slot by the first command that comes to mind is told what it does not bring.
#[test]
fn a_slot_that_is_made_anew_without_a_recovery_says_what_does_not_come_through_it() -> Outcome {
    let mut scenario = Setup::new("rec_made_anew").start()?;
    let writer = with_unpublished_rows(&mut scenario)?;
    let drop = "SELECT pg_drop_replication_slot($1::text)::text";
    scenario.database()?.rows(drop, &[&scenario.name()])?;
    let made = scenario.command(&["slot", "create"])?;
    made.must(
        0,
        &["does not come through this one", "recover --keep-slot --since TIME"],
    )?;
    recovered(&scenario, &["--keep-slot", "--since", "2000-01-01"])?.must(0, &["20 of 30 rows"])?;
    let _relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    arrived_once(&scenario, &writer.into_history(), 20)
}

/// Without a row there is no topic to read, and silence about Kafka would be taken for an answer.
#[test]
fn where_every_row_was_removed_a_recovery_says_that_it_has_read_no_topic() -> Outcome {
    let mut scenario = Setup::new("rec_removed").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    scenario.database()?.run("DELETE FROM public.outbox")?;
    let keep = ["--keep-slot", "--since", "2000-01-01", "--dry-run"];
    look(&scenario, &keep)?.must(0, &["no row since then names a topic", "--topic TOPIC"])?;
    let topic = scenario.topic();
    look(&scenario, &[&keep[..], &["--topic", &topic]].concat())?.must(0, &["10 events are not among the rows"])
}

/// It takes the slot as soon as that is let go, and not before: otherwise newer events would come first.
#[test]
fn a_relay_that_waits_for_the_slot_stands_by_until_what_was_missing_is_published() -> Outcome {
    let mut scenario = Setup::new("rec_stands_by").private_kafka().start()?;
    let mut writer = with_unpublished_rows(&mut scenario)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    let busy = scenario.database()?;
    busy.run("BEGIN; SELECT txid_current()")?;
    let mut recovery = begin(&scenario, &["--since", "2000-01-01"])?;
    recovery.wait_until_it_says("creating slot")?;
    scenario.servers.own_kafka()?.freeze(0)?;
    busy.run("COMMIT")?;
    recovery.wait_until_it_says("starts at")?;
    writer.write(10)?;
    let mut relay = scenario.relay()?;
    relay.may_show("kafka_unreachable");
    relay.may_show("slot_active");
    relay.wait_for_phase("standby")?;
    scenario.servers.own_kafka()?.thaw(0)?;
    recovery.wait()?.must(0, &["20 of 30 rows"])?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;
    arrived_once(&scenario, &writer.into_history(), 20)
}

/// Insert and commit are hours apart, as far as the log is concerned: such a row is in the stream, whatever it says of itself.
#[test]
fn a_row_that_commits_after_the_slot_was_made_comes_from_the_slot_and_only_from_there() -> Outcome {
    let mut scenario = Setup::new("rec_open").start()?;
    let mut writer = with_unpublished_rows(&mut scenario)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    let busy = scenario.database()?;
    busy.run("BEGIN; SELECT txid_current()")?;
    let mut recovery = begin(&scenario, &["--since", "2000-01-01"])?;
    recovery.wait_until_it_says("creating slot")?;
    // Before the slot's start, and after the tables were looked through.
    writer.write(5)?;
    busy.run("COMMIT")?;
    recovery.wait()?.must(0, &["25 of 35 rows"])?;
    writer.write(5)?;
    let _relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    arrived_once(&scenario, &writer.into_history(), 25)
}

/// The oldest version has another syntax for it, and from 17 on a slot may have been one that standbys keep.
#[test]
fn the_oldest_and_the_newest_postgresql_recover_and_a_slot_that_standbys_kept_is_kept_again() -> Outcome {
    let limited = [("max_slot_wal_keep_size", "1MB")];
    for (version, create) in [
        (14, ["slot", "create"].as_slice()),
        (18, &["slot", "create", "--failover"]),
    ] {
        let setup = Setup::new(&format!("rec_{version}")).private_postgres(&limited);
        let mut scenario = setup.postgres_version(version).without_slot().start()?;
        scenario.command(create)?.must(0, &["starts at"])?;
        let mut writer = with_unpublished_rows(&mut scenario)?;
        lose_slot(&scenario)?;
        recovered(&scenario, &[])?.must(0, &["is lost", "20 of 30 rows"])?;
        let kept = if version == 18 {
            "on standbys:     kept"
        } else {
            "on standbys:     not kept"
        };
        scenario.command(&["slot", "show"])?.must(0, &[kept])?;
        let _relay = scenario.streaming_relay()?;
        writer.write(10)?;
        scenario.wait_until_confirmed()?;
        arrived_once(&scenario, &writer.into_history(), 20)?;
    }
    Ok(())
}

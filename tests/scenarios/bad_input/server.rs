//! A server whose settings are against the relay: it takes away the WAL, or makes every commit wait for the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use outbox_relay_tests::database::Database;
use std::collections::BTreeSet;

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::is_halted;

#[test]
fn a_lost_slot_halts_and_only_the_operator_makes_another_one() -> Outcome {
    let mut scenario = Setup::new("wal_gone")
        .private_postgres(&[("max_slot_wal_keep_size", "1MB")])
        .start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    // What only the table has from now on: should one of them ever be published, the verifier calls it a phantom.
    Writer::connect(scenario.writer()?)?.write(10)?;
    lose_slot(&scenario)?;

    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "slot_lost", "outbox-relay recover")?;
    let slots = slots(&scenario)?;
    ensure(slots == format!("{} lost", scenario.name()), || slots.clone())?;
    let refused = scenario.command(&["slot", "drop"])?;
    refused.must_refuse("slot_holds_events", &["--yes"])?;
    make_slot_anew(&mut scenario, &mut relay)?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.duplicates == 0, || report.to_string())
}

/// PostgreSQL 18 looks at a checkpoint who has not been there for too long.
#[test]
fn a_slot_that_nobody_used_for_too_long_is_lost_and_that_is_said() -> Outcome {
    let setup = Setup::new("idle_slot").private_postgres(&[("idle_replication_slot_timeout", "1s")]);
    let mut scenario = setup.postgres_version(18).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let lost = format!("{} lost", scenario.name());
    wait_for("the slot to be lost", || {
        let database = scenario.database().map_err(|failure| failure.to_string())?;
        database.run("CHECKPOINT").map_err(|failure| failure.to_string())?;
        let slots = slots(&scenario).map_err(|failure| failure.to_string())?;
        if slots == lost { Ok(()) } else { Err(slots) }
    })?;
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("slot_lost")?;
    let said = "nobody used it for too long (idle_replication_slot_timeout)";
    ensure(readiness.phase() == "halted" && readiness.body.contains(said), || {
        readiness.body.clone()
    })
}

/// As docs/RECOVERY.md says, by its own statements.
#[test]
fn rows_that_only_the_table_has_arrive_when_they_are_written_once_more() -> Outcome {
    const SINCE: &str = "2026-11-22 03:00+00";
    let recovery = include_str!("../../../docs/RECOVERY.md");
    let (_, after) = recovery.split_once("```sql").unwrap_or_default();
    let (statements, _) = after.split_once("```").unwrap_or_default();
    ensure(statements.contains(SINCE), || {
        "the document has no such time".to_owned()
    })?;

    let mut scenario = Setup::new("again").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(20)?;
    for command in [["slot", "drop", "--yes"].as_slice(), &["slot", "create"]] {
        let ended = scenario.command(command)?;
        ensure(ended.code == Some(0), || format!("{ended:?}"))?;
    }
    writer.write(10)?;
    let _relay = scenario.streaming_relay()?;
    scenario.database()?.run(&statements.replace(SINCE, "-infinity"))?;
    let ids = scenario.database()?.rows("SELECT id::text FROM public.outbox", &[])?;
    let wanted: BTreeSet<String> = ids.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    ensure(wanted.len() == 30, || format!("{} rows", wanted.len()))?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?;
    let found: BTreeSet<String> = records
        .iter()
        .filter_map(|record| record.header("id").map(str::to_owned))
        .collect();
    ensure(found == wanted, || format!("{found:?} instead of {wanted:?}"))
}

/// What the relay had taken before is in its memory, and arrives although the slot is gone.
#[test]
fn a_slot_that_is_lost_while_kafka_is_away_takes_nothing_from_what_was_read_before() -> Outcome {
    let setup = Setup::new("wal_gone_later").private_kafka();
    let mut scenario = setup.private_postgres(&[("max_slot_wal_keep_size", "1MB")]).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.own_kafka()?.freeze(0)?;
    writer.write(10)?;
    relay.wait_for_figure("in_flight_events", |records| records >= 10.0)?;
    lose_slot(&scenario)?;
    relay.may_show("postgres_");
    relay.wait_for_fault("kafka_unreachable")?;
    relay.wait_for_fault("slot_lost")?;
    scenario.servers.own_kafka()?.thaw(0)?;
    relay.wait_for_figure("events_acked_total", |records| records >= 20.0)?;

    make_slot_anew(&mut scenario, &mut relay)?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 30 && report.duplicates == 0, || report.to_string())
}

/// A segment of WAL is 16 MiB, and a checkpoint removes those that no slot may keep.
pub(crate) fn lose_slot(scenario: &Scenario) -> Outcome {
    let database = scenario.database()?;
    wait_for("the slot to be lost", || {
        let lost = database
            .run("CREATE TABLE IF NOT EXISTS busy (text text)")
            .and_then(|()| database.run("INSERT INTO busy VALUES ('x')"))
            .and_then(|()| database.rows("SELECT pg_switch_wal()", &[]))
            .and_then(|_| database.run("CHECKPOINT"))
            .and_then(|()| slots(scenario));
        match lost {
            Ok(slots) if slots.ends_with(" lost") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

fn slots(scenario: &Scenario) -> Outcome<String> {
    let statement = "SELECT string_agg(slot_name || ' ' || wal_status, ', ') FROM pg_replication_slots";
    Ok(scenario.database()?.text(statement, &[])?.unwrap_or_default())
}

/// The commit that waits meanwhile waits for any standby there may be, and the relay must not offer itself as one.
#[test]
fn a_server_that_would_make_commits_wait_for_the_relay_is_refused() -> Outcome {
    let mut scenario = Setup::new("synchronous").private_postgres(&[]).start()?;
    let database = scenario.database()?;
    set_standbys(&database, "SET synchronous_standby_names = '*'")?;
    let (stopping, load) = (Arc::new(AtomicBool::new(false)), Writer::connect(scenario.writer()?)?);
    let stop = Arc::clone(&stopping);
    let waiting = thread::spawn(move || write_until(&stop, load));
    let waits = "SELECT string_agg(wait_event, ',') FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    wait_for("a commit to wait for a standby", || match database.text(waits, &[]) {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;

    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "relay_is_synchronous_standby", "name the real standbys")?;
    let chosen = "SELECT string_agg(application_name, ',') FROM pg_stat_replication
                  WHERE sync_state IN ('sync', 'quorum')";
    let chosen = database.text(chosen, &[])?;
    ensure(chosen.is_none() && !waiting.is_finished(), || {
        format!("{chosen:?} is the standby that the commit waits for")
    })?;
    ensure(scenario.records()?.is_empty(), || "a record was published".to_owned())?;

    stopping.store(true, Ordering::Relaxed);
    set_standbys(&database, "RESET synchronous_standby_names")?;
    let history = waiting.join().map_err(|_| Failure::new("the writer panicked"))??;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.rows > 0 && report.duplicates == 0, || report.to_string())
}

/// A relay that streams already is taken for a standby at once, and commits would wait for Kafka until it leaves.
#[test]
fn a_server_that_begins_to_wait_for_the_streaming_relay_is_left() -> Outcome {
    let mut scenario = Setup::new("synchronous_later").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let database = scenario.database()?;
    set_standbys(&database, "SET synchronous_standby_names = '*'")?;
    is_halted(&mut relay, "relay_is_synchronous_standby", "name the real standbys")?;
    set_standbys(&database, "RESET synchronous_standby_names")?;
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.duplicates == 0, || report.to_string())
}

/// Writes until a commit has waited: the server applies its settings at its own time.
fn write_until(stopping: &AtomicBool, mut writer: Writer) -> Outcome<History> {
    while !stopping.load(Ordering::Relaxed) {
        writer.write(10)?;
    }
    Ok(writer.into_history())
}

fn set_standbys(database: &Database, change: &str) -> Outcome {
    database.run(&format!("ALTER SYSTEM {change}"))?;
    database.rows("SELECT pg_reload_conf()", &[]).map(drop)
}

fn make_slot_anew(scenario: &mut Scenario, relay: &mut Relay) -> Outcome {
    let dropped = scenario.command(&["slot", "drop", "--yes"])?;
    ensure(dropped.code == Some(0), || format!("{dropped:?}"))?;
    relay.wait_for_fault("slot_missing")?;
    scenario.create_slot()?;
    relay.wait_for_phase("streaming").map(drop)
}

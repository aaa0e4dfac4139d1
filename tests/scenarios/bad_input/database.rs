//! A `PostgreSQL` that is not as the relay needs it.

use std::fs;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::StopMode;
use outbox_relay_tests::writer::Writer;

use super::is_halted;

const RECONNECTS: &str = "reconnects_total{peer=\"postgres\"}";

/// The cause is gone: what was written before and after arrives, once.
fn mended(mut scenario: Scenario, mut relay: Relay, mut writer: Writer) -> Outcome {
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows > 0 && report.duplicates == 0, || report.to_string())
}

fn alter(scenario: &Scenario, change: &str) -> Outcome {
    let statement = format!("ALTER PUBLICATION {} {change}", scenario.name());
    scenario.database()?.run(&statement)
}

#[test]
fn a_wrong_password_halts_and_a_corrected_file_is_picked_up() -> Outcome {
    let mut scenario = Setup::new("password").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let file = scenario.file("password");
    let right = fs::read(&file)?;
    fs::write(&file, "wrong")?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_authentication_failed", "password")?;
    fs::write(&file, right)?;
    mended(scenario, relay, writer)
}

#[test]
fn a_missing_slot_halts_and_creating_it_starts_the_stream() -> Outcome {
    let mut scenario = Setup::new("no_slot").without_slot().start()?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "slot_missing", "outbox-relay slot create")?;
    scenario.create_slot()?;
    let writer = Writer::connect(scenario.writer()?)?;
    mended(scenario, relay, writer)
}

#[test]
fn a_database_that_was_not_migrated_halts_and_migrating_it_starts_the_stream() -> Outcome {
    let mut scenario = Setup::new("no_schema").start()?;
    scenario.database()?.run("ALTER SCHEMA outbox_relay RENAME TO hidden")?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "schema_not_migrated", "outbox-relay migrate")?;
    scenario.database()?.run("ALTER SCHEMA hidden RENAME TO outbox_relay")?;
    let writer = Writer::connect(scenario.writer()?)?;
    mended(scenario, relay, writer)
}

#[test]
fn a_missing_publication_halts_and_migrating_again_resumes() -> Outcome {
    let mut scenario = Setup::new("no_publication").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let name = scenario.name().to_owned();
    scenario.database()?.run(&format!("DROP PUBLICATION {name}"))?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "publication_missing", "outbox-relay migrate")?;
    scenario.migrate()?;
    mended(scenario, relay, writer)
}

#[test]
fn a_publication_without_the_table_halts_and_adding_it_resumes() -> Outcome {
    let mut scenario = Setup::new("no_table").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    alter(&scenario, "DROP TABLE public.outbox")?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "publication_without_table", "ADD TABLE")?;
    alter(&scenario, "ADD TABLE public.outbox")?;
    mended(scenario, relay, writer)
}

#[test]
fn a_published_table_without_a_mapping_halts_and_taking_it_out_resumes() -> Outcome {
    let mut scenario = Setup::new("not_mapped").sql("CREATE TABLE other (id int)").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    alter(&scenario, "ADD TABLE public.other")?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "table_not_mapped", "[outbox.")?;
    alter(&scenario, "DROP TABLE public.other")?;
    mended(scenario, relay, writer)
}

/// What was written without a publication cannot be decoded any more: it must never be confirmed as if it had arrived.
#[test]
fn a_publication_that_is_dropped_in_mid_stream_halts_the_relay_and_confirms_nothing() -> Outcome {
    let mut scenario = Setup::new("dropped").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    scenario
        .database()?
        .run(&format!("DROP PUBLICATION {}", scenario.name()))?;
    scenario.wait_until_confirmed()?;
    let before = scenario.database()?.wal_end()?;
    writer.write(10)?;
    relay.wait_for_fault("publication_missing")?;
    scenario.migrate()?;
    let reconnects = relay.figures()?.get(RECONNECTS);
    relay.wait_for_figure(RECONNECTS, |now| now >= reconnects + 2.0)?;
    let confirmed = scenario.confirmed()?;
    let records = scenario.records()?.len();
    ensure(records == 10 && confirmed <= before, || {
        format!("{records} records; {confirmed} is confirmed, beyond {before}")
    })?;
    let log = relay.log();
    ensure(!log.contains("slot_missing"), || {
        format!("the slot is there:\n{}", relay.log_tail())
    })
}

#[test]
fn a_wal_level_that_is_too_low_halts_and_raising_it_starts_the_stream() -> Outcome {
    let setup = Setup::new("wal_level").private_postgres(&[("wal_level", "replica")]);
    let mut scenario = setup.without_slot().start()?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "wal_level_too_low", "ALTER SYSTEM SET wal_level")?;
    let ended = scenario.command(&["slot", "create"])?;
    ended.must_refuse("wal_level_too_low", &["ALTER SYSTEM SET wal_level"])?;
    scenario.database()?.run("ALTER SYSTEM SET wal_level = 'logical'")?;
    relay.may_show("postgres_unreachable");
    // Between the start of the server and the command below the relay may look for the slot.
    relay.may_show("slot_missing");
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    scenario.servers.own_postgres()?.start_again()?;
    scenario.create_slot()?;
    let writer = Writer::connect(scenario.writer()?)?;
    mended(scenario, relay, writer)
}

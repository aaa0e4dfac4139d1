//! The main path on every PostgreSQL and on the oldest Kafka that is supported; the other scenarios run on one of each.

use std::fs;

use outbox_decoder::Lsn;
use outbox_relay_tests::broker_rules::Scram;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use crate::bad_input::is_halted;
use crate::kafka_doors::{broker_rules, log_in};

fn on_postgresql(major: u32) -> Outcome {
    let setup = Setup::new(&format!("pg{major}")).private_postgres(&[]);
    let scenario = setup.postgres_version(major).start()?;
    let version = scenario.database()?.text("SHOW server_version_num", &[])?;
    let version = version.unwrap_or_default();
    ensure(version.starts_with(&major.to_string()), || {
        format!("this is PostgreSQL {version}")
    })?;
    main_path(scenario)
}

/// Migrate, make the slot, publish, stop, publish what was written meanwhile.
fn main_path(mut scenario: Scenario) -> Outcome {
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..10 {
        writer.write(10)?;
        writer.begin()?;
        writer.insert(2)?;
        writer.savepoint()?;
        writer.insert(3)?;
        writer.roll_back_to_savepoint()?;
        writer.commit()?;
    }
    let mut relay = scenario.streaming_relay()?;
    writer.write(50)?;
    scenario.wait_until_confirmed()?;
    scenario.command(&["slot", "show"])?.must(0, &[scenario.name()])?;
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    writer.write(50)?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    let is_whole = report.rows == 220 && report.duplicates == 0;
    ensure(is_whole, || report.to_string())
}

#[test]
fn the_main_path_works_on_postgresql_14() -> Outcome {
    on_postgresql(14)
}

#[test]
fn the_main_path_works_on_postgresql_15() -> Outcome {
    on_postgresql(15)
}

#[test]
fn the_main_path_works_on_postgresql_16() -> Outcome {
    on_postgresql(16)
}

#[test]
fn the_main_path_works_on_postgresql_17() -> Outcome {
    on_postgresql(17)
}

#[test]
fn the_main_path_works_on_postgresql_18() -> Outcome {
    on_postgresql(18)
}

/// Behind TLS, a login and rules, as where such a Kafka is managed by somebody else.
#[test]
fn the_main_path_works_on_kafka_3_6() -> Outcome {
    let setup = Setup::new("kafka36").private_kafka();
    let mut scenario = setup.kafka_version("3.6.2").start()?;
    let log = fs::read_to_string(&scenario.servers.own_kafka()?.facts().log_files[0])?;
    ensure(log.contains("Kafka version: 3.6.2"), || {
        "this is another Kafka".to_owned()
    })?;
    let (user, password) = (scenario.name().to_owned(), "not a secret");
    let mut rules = broker_rules(&scenario)?;
    rules.set_password(&user, Scram::Sha512, password)?;
    rules.allow_write(&format!("User:{user}"), &scenario.topic())?;
    log_in(&mut scenario, "SCRAM-SHA-512", password)?;
    main_path(scenario)
}

const GENERATED: &str = "CREATE TABLE public.outbox (id uuid PRIMARY KEY, aggregate_type text NOT NULL,
    aggregate_id text NOT NULL, event_type text NOT NULL, payload json NOT NULL,
    version bigint GENERATED ALWAYS AS (length(aggregate_id)) STORED)";

/// Both are new there: generated columns can be published, and of a publication that is missing the server only warns,
/// and skips its rows.
#[test]
fn on_postgresql_18_generated_columns_are_published_and_a_missing_publication_skips_nothing() -> Outcome {
    let setup = Setup::new("new_in_18").sql(GENERATED).private_postgres(&[]);
    let mut scenario = setup.postgres_version(18).without_slot().start()?;
    let name = scenario.name().to_owned();
    let mut relay = scenario.relay()?;
    is_halted(
        &mut relay,
        "publication_without_column",
        "publish_generated_columns = stored",
    )?;
    let database = scenario.database()?;
    database.run(&format!(
        "ALTER PUBLICATION {name} SET (publish_generated_columns = stored)"
    ))?;
    relay.may_show("slot_missing");
    scenario.create_slot()?;
    relay.wait_for_phase("streaming")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history())?;
    for record in scenario.records()? {
        let length = record.key.as_ref().map(|key| key.len().to_string());
        ensure(record.header("version") == length.as_deref(), || format!("{record:?}"))?;
    }

    database.run(&format!("DROP PUBLICATION {name}"))?;
    let before = database.wal_end()?;
    Writer::connect(scenario.writer()?)?.write(10)?;
    let hint = "slot drop --yes";
    relay.wait_for_fault("publication_missing")?;
    let options = "publish = 'insert', publish_generated_columns = stored";
    database.run(&format!(
        "CREATE PUBLICATION {name} FOR TABLE public.outbox WITH ({options})"
    ))?;
    relay.wait_for_readiness("the rows to be in the way", |readiness| readiness.body.contains(hint))?;
    skipped_nothing(&scenario, before)
}

/// What was written without a publication cannot be decoded: it must never be confirmed as if it had arrived.
fn skipped_nothing(scenario: &Scenario, before: Lsn) -> Outcome {
    let (records, confirmed) = (scenario.records()?.len(), scenario.confirmed()?);
    ensure(records == 10 && confirmed <= before, || {
        format!("{records} records; {confirmed} is confirmed, beyond {before}")
    })
}

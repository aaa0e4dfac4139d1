//! The main path on every PostgreSQL and on the oldest Kafka that is supported; the other scenarios run on one of each.

use std::fs;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

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

#[test]
fn the_main_path_works_on_kafka_3_6() -> Outcome {
    let setup = Setup::new("kafka36").private_kafka();
    let mut scenario = setup.kafka_version("3.6.2").start()?;
    let log = fs::read_to_string(&scenario.servers.own_kafka()?.facts().log_files[0])?;
    ensure(log.contains("Kafka version: 3.6.2"), || {
        "this is another Kafka".to_owned()
    })?;
    main_path(scenario)
}

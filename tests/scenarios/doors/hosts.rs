//! Several names for the server: the first that will do.

use std::collections::BTreeSet;
use std::fs;

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{Postgres, StopMode, free_port};
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::{Writer, WriterOptions};

use crate::bad_input::is_halted;

#[test]
fn a_host_that_is_down_is_passed_over_for_the_next() -> Outcome {
    let mut scenario = Setup::new("hosts").start()?;
    let here = format!("127.0.0.1:{}", scenario.servers.postgres()?.port);
    let closed = format!("127.0.0.1:{}", free_port()?);
    scenario
        .settings
        .set("postgres.host", vec![closed.clone(), here.clone()]);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history())?;

    scenario.settings.set("postgres.host", vec![closed.clone()]);
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("postgres_unreachable")?;
    ensure(readiness.body.contains(&closed), || format!("{readiness:?}"))
}

/// The slot is not on the standby: the relay follows the primary, names what is missing there, and makes nothing itself.
#[test]
fn of_a_standby_and_a_primary_the_primary_is_followed_over_a_failover() -> Outcome {
    let mut scenario = Setup::new("failover")
        .private_postgres(&[("log_connections", "on")])
        .start()?;
    let first = scenario.servers.postgres()?.port;
    let standby = scenario.servers.own_postgres()?.start_standby("e2e-failover-standby")?;
    let hosts = [standby.port(), first].map(|port| format!("127.0.0.1:{port}"));
    scenario.settings.set("postgres.host", vec![hosts[0].clone()]);
    let mut alone = scenario.relay()?;
    let readiness = alone.wait_for_fault("postgres_is_standby")?;
    ensure(readiness.phase() == "connecting", || format!("{readiness:?}"))?;
    alone.terminate()?;

    scenario.settings.set("postgres.host", hosts.to_vec());
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;

    relay.may_show("postgres_unreachable");
    relay.may_show("postgres_is_standby");
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    let database = promote(&scenario, &standby)?;
    is_halted(&mut relay, "slot_missing", "outbox-relay recover --dry-run")?;
    asks_again(&scenario, &standby)?;
    let slots = database.text("SELECT count(*)::text FROM pg_replication_slots", &[])?;
    ensure(slots.as_deref() == Some("0"), || format!("{slots:?} slots"))?;

    scenario.command(&["slot", "create"])?.must(0, &["starts at"])?;
    relay.wait_for_phase("streaming")?;
    let mut second = Writer::connect(WriterOptions {
        conninfo: conninfo(&scenario, &standby),
        ..scenario.writer()?
    })?;
    second.write(10)?;
    let mut history = writer.into_history();
    history.merge(second.into_history());
    let written: BTreeSet<String> = history.committed.into_iter().map(|row| row.id).collect();
    wait_for("all rows of both servers, once", || {
        let records = scenario.records().map_err(|failure| failure.to_string())?;
        let ids: BTreeSet<String> = records
            .iter()
            .filter_map(|record| record.header("id"))
            .map(str::to_owned)
            .collect();
        if ids == written && records.len() == written.len() {
            Ok(())
        } else {
            Err(format!("{} records, {} rows", records.len(), written.len()))
        }
    })
}

fn conninfo(scenario: &Scenario, server: &Postgres) -> String {
    format!("{} dbname={}", server.facts().conninfo(), scenario.name())
}

fn promote(scenario: &Scenario, standby: &Postgres) -> Outcome<Database> {
    let database = Database::connect(&conninfo(scenario, standby))?;
    let promoted = database.text("SELECT pg_promote()::text", &[])?;
    ensure(promoted.as_deref() == Some("true"), || format!("{promoted:?}"))?;
    Ok(database)
}

/// Waits until the relay has come back to the server.
fn asks_again(scenario: &Scenario, server: &Postgres) -> Outcome {
    let login = format!("replication connection authorized: user={}", scenario.name());
    let logins = || fs::read_to_string(server.log_file()).map(|log| log.matches(&login).count());
    let before = logins()?;
    wait_for("more logins", || match logins() {
        Ok(now) if now >= before + 2 => Ok(()),
        other => Err(format!("{other:?} after {before}")),
    })
}

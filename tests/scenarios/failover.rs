//! A standby that is promoted, and has kept the slot (PostgreSQL 17 and later): events go on where they were (P1, P3).

use std::collections::{BTreeSet, HashMap};

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{Postgres, StopMode};
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::{Writer, WriterOptions};

#[test]
fn a_promoted_standby_of_17_that_kept_the_slot_goes_on_where_the_primary_was() -> Outcome {
    goes_on("synced_17", 17, false)
}

#[test]
fn a_promoted_standby_of_18_that_kept_the_slot_goes_on_where_the_primary_was() -> Outcome {
    goes_on("synced_18", 18, false)
}

/// What is acknowledged and not told waits for the table of the old primary, where nobody will ever answer.
#[test]
fn delivery_states_that_the_old_primary_did_not_take_do_not_hold_up_the_promoted_one() -> Outcome {
    goes_on("synced_untold", 17, true)
}

/// The primary is killed under load. What it did not get to the standby is lost with it, and must not be in Kafka either:
/// `synchronized_standby_slots` holds it back.
fn goes_on(label: &str, version: u32, has_untold: bool) -> Outcome {
    let setup = Setup::new(label).private_postgres(&[]);
    let setup = setup.set("outbox.default.delivery_state", has_untold);
    let mut scenario = setup.postgres_version(version).without_slot().start()?;
    scenario
        .command(&["slot", "create", "--failover"])?
        .must(0, &["starts at"])?;
    let name = format!("e2e-{label}-standby");
    let standby = scenario.servers.own_postgres()?.start_standby_with_slots(&name)?;
    let ports = [scenario.servers.postgres()?.port, standby.port()];
    let hosts = ports.map(|port| format!("127.0.0.1:{port}"));
    scenario.settings.set("postgres.host", hosts.to_vec());
    hold_back(&scenario)?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");
    relay.may_show("postgres_is_standby");
    relay.may_show("waiting_for_standby");
    let load = scenario.load()?;
    relay.wait_for_figure("events_acked_total", |records| records > 500.0)?;
    let copy = Database::connect(&conninfo(&scenario, &standby))?;
    is_synced(&scenario, &copy)?;

    let holder = scenario.database()?;
    if has_untold {
        holder.run("BEGIN; LOCK TABLE outbox_relay.delivery_state")?;
        relay.wait_for_figure("delivery_states_waiting", |waiting| waiting > 0.5)?;
    }
    let before = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |records| records > before + 500.0)?;
    scenario.servers.own_postgres()?.stop(StopMode::Kill)?;
    // The writers have nobody to write to, which ends them.
    drop(load.stop());
    let promoted = copy.text("SELECT pg_promote()::text", &[])?;
    ensure(promoted.as_deref() == Some("true"), || format!("{promoted:?}"))?;
    relay.wait_for_phase("streaming")?;
    let options = WriterOptions {
        conninfo: conninfo(&scenario, &standby),
        ..scenario.writer()?
    };
    Writer::connect(options)?.write(50)?;
    holds_the_same(&scenario, &copy)
}

/// What the standby does not have yet is not sent.
fn hold_back(scenario: &Scenario) -> Outcome {
    let database = scenario.database()?;
    database.run("ALTER SYSTEM SET synchronized_standby_slots = 'standby'")?;
    database.run("SELECT pg_reload_conf()")
}

fn conninfo(scenario: &Scenario, server: &Postgres) -> String {
    format!("{} dbname={}", server.facts().conninfo(), scenario.name())
}

/// Only a copy that is no temporary one outlives a promotion.
fn is_synced(scenario: &Scenario, standby: &Database) -> Outcome {
    wait_for("the copy of the slot", || {
        let statement = "SELECT (synced AND NOT temporary)::text FROM pg_replication_slots WHERE slot_name = $1";
        match standby.text(statement, &[&scenario.name()]) {
            Ok(Some(synced)) if synced == "true" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
}

fn holds_the_same(scenario: &Scenario, promoted: &Database) -> Outcome {
    let rows = promoted.rows("SELECT id::text FROM public.outbox", &[])?;
    let written = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<BTreeSet<String>, _>>()?;
    let mut records = Vec::new();
    wait_for("the rows of the promoted server, and no others", || {
        records = scenario.records().map_err(|failure| failure.to_string())?;
        let ids: BTreeSet<String> = records
            .iter()
            .filter_map(|record| record.header("id"))
            .map(str::to_owned)
            .collect();
        let (lost, invented) = (written.difference(&ids).count(), ids.difference(&written).count());
        if lost + invented == 0 {
            Ok(())
        } else {
            Err(format!(
                "of {} rows {lost} are missing, and {invented} records are of none",
                written.len()
            ))
        }
    })?;
    ensure(written.len() > 1_000, || format!("only {} rows", written.len()))?;
    is_in_order(&records)
}

/// The position compares as text; a repeated record is where it was first.
fn is_in_order(records: &[Record]) -> Outcome {
    let (mut seen, mut newest) = (BTreeSet::new(), HashMap::new());
    for record in records {
        let (id, position) = (record.header("id"), record.header("position"));
        if seen.insert(id)
            && let Some(before) = newest.insert(record.partition, position)
        {
            ensure(before < position, || format!("{position:?} behind {before:?}"))?;
        }
    }
    Ok(())
}

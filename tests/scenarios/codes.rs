//! Every code of a fault or a refusal is provoked somewhere; here are those that belong to no other subject.

use std::fs;
use std::path::Path;
use std::process::Command;

use outbox_relay::commands::Refusal;
use outbox_relay::fault::FaultCode;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::{self, exit_code};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use crate::bad_input::is_halted;
use crate::tables::COLUMNS;

#[test]
fn every_code_is_provoked_in_a_scenario() -> Outcome {
    let mut sources = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"), &mut sources)?;
    let sources = sources.replace("may_show(\"", "").replace("explain(\"", "");
    let faults = FaultCode::all().map(FaultCode::name);
    let refusals = Refusal::ALL.iter().map(|refusal| refusal.entry().name);
    let is_waited_for = |code: &&str| {
        let ways = [
            format!("(\"{code}\""),
            format!("&mut relay, \"{code}\""),
            format!(" \"{code}\","),
            format!("\", \"{code}\")"),
            format!(": &str = \"{code}\";"),
        ];
        ways.iter().any(|way| sources.contains(way))
    };
    let forgotten: Vec<&str> = faults.chain(refusals).filter(|code| !is_waited_for(code)).collect();
    ensure(forgotten.is_empty(), || format!("no scenario for {forgotten:?}"))
}

fn collect(place: &Path, sources: &mut String) -> Outcome {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else {
            sources.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(())
}

#[test]
fn a_code_is_explained_on_the_terminal_and_one_that_is_none_is_refused() -> Outcome {
    let explain = |code: &str| program::run(Path::new("/dev/null"), &["explain", code]);
    explain("slot_lost")?.must(0, &["the relay: halts", "outbox-relay recover"])?;
    explain("slot_lots")?.must_refuse("code_unknown", &["slot_lots"])
}

/// The value is right for its key, so that the configuration has nothing against it.
#[test]
fn a_property_that_librdkafka_cannot_use_ends_the_relay_before_it_does_anything() -> Outcome {
    let mut scenario = Setup::new("no_property").start()?;
    scenario
        .settings
        .set("kafka.properties.\"ssl.ca.location\"", "/no/such/ca.pem");
    scenario.settings.set("kafka.properties.\"security.protocol\"", "ssl");
    scenario
        .command(&["run"])?
        .must_refuse("property_refused", &["ssl.ca.location"])
}

#[test]
fn an_admin_address_that_is_taken_ends_the_relay_and_is_named() -> Outcome {
    let mut scenario = Setup::new("admin_taken").start()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    scenario.settings.set("admin.listen", address.as_str());
    let ended = scenario.command(&["run"])?;
    ended.must_refuse("admin_address_taken", &[&address, "another admin.listen"])
}

/// A file descriptor more than the loader needs.
#[test]
fn a_system_that_gives_nothing_is_named_and_not_a_panic() -> Outcome {
    let scenario = Setup::new("no_descriptors").start()?;
    let program = program::program()?.get_program().to_owned();
    let starved = "exec 3>&-; ulimit -n 4; exec \"$0\" slot show";
    let ended = Command::new("sh")
        .args(["-c", starved])
        .arg(program)
        .env("OUTBOX_RELAY_CONFIG", scenario.file("relay.toml"))
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    let is_refused = ended.status.code() == Some(exit_code("system_refused")?) && said.contains("code: system_refused");
    ensure(is_refused, || format!("{:?}: {said}", ended.status))
}

#[test]
fn a_role_that_may_open_no_more_connections_waits_until_it_may() -> Outcome {
    let mut scenario = Setup::new("no_connection").start()?;
    let name = scenario.name().to_owned();
    scenario
        .database()?
        .run(&format!("ALTER ROLE {name} CONNECTION LIMIT 0"))?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("postgres_refused")?;
    ensure(
        readiness.phase() == "connecting" && readiness.body.contains("53300"),
        || readiness.body.clone(),
    )?;
    scenario
        .database()?
        .run(&format!("ALTER ROLE {name} CONNECTION LIMIT -1"))?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_database_that_is_not_there_halts_with_its_name() -> Outcome {
    let mut scenario = Setup::new("no_database").start()?;
    scenario.settings.set("postgres.database", "no_such_database");
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_database_missing", "postgres.database")
}

#[test]
fn a_slot_of_another_plugin_halts_until_it_is_out_of_the_way() -> Outcome {
    let mut scenario = Setup::new("other_plugin").without_slot().start()?;
    let made = "SELECT pg_create_logical_replication_slot($1::text::name, 'test_decoding')::text";
    let name = scenario.name().to_owned();
    scenario.database()?.rows(made, &[&name])?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "slot_unusable", "postgres.slot")?;
    relay.may_show("slot_missing");
    scenario
        .database()?
        .rows("SELECT pg_drop_replication_slot($1::text::name)::text", &[&name])?;
    scenario.create_slot()?;
    relay.wait_for_phase("streaming").map(drop)
}

/// The brokers' own topics take nothing from clients.
#[test]
fn a_topic_name_that_the_brokers_refuse_halts_at_the_row() -> Outcome {
    let setup = Setup::new("bad_topic").without_topic();
    let mut scenario = setup.topic("__consumer_offsets", "order").start()?;
    let mut relay = scenario.streaming_relay()?;
    Writer::connect(scenario.writer()?)?.write(1)?;
    let readiness = relay.wait_for_fault("topic_invalid")?;
    let is_halted = readiness.phase() == "halted" && readiness.body.contains("topic template");
    ensure(is_halted, || readiness.body.clone())
}

#[test]
fn a_record_without_a_key_halts_at_a_compacted_topic_and_passes_once_it_is_not() -> Outcome {
    let setup = Setup::new("compacted").topic_config("cleanup.policy", "compact");
    let setup = setup.sql(&format!("CREATE TABLE public.outbox ({COLUMNS})"));
    let mut scenario = setup.set("outbox.default.columns.aggregate_id", "").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(3)?;
    let readiness = relay.wait_for_fault("record_refused")?;
    let is_halted = readiness.phase() == "halted" && readiness.body.contains("cleanup.policy");
    ensure(is_halted, || readiness.body.clone())?;
    let topics = scenario.servers.topics()?;
    topics.alter(&scenario.topic(), &[("cleanup.policy", "delete")])?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?.len();
    ensure(records == 3, || format!("{records} records"))
}

/// From `PostgreSQL` 17 on, a failover slot gives nothing that the named standbys do not have.
#[test]
fn events_that_a_standby_does_not_have_yet_are_waited_for_and_the_setting_is_named() -> Outcome {
    let absent = [("synchronized_standby_slots", "absent")];
    let setup = Setup::new("standby_slots").private_postgres(&absent);
    let mut scenario = setup.postgres_version(17).without_slot().start()?;
    let made = "SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput', false, false, true)::text";
    let name = scenario.name().to_owned();
    scenario.database()?.rows(made, &[&name])?;
    let mut relay = scenario.relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let readiness = relay.wait_for_fault("waiting_for_standby")?;
    ensure(
        readiness.phase() == "connecting" && readiness.body.contains("synchronized_standby_slots"),
        || readiness.body.clone(),
    )?;
    let database = scenario.database()?;
    database.run("ALTER SYSTEM SET synchronized_standby_slots = ''")?;
    database.rows("SELECT pg_reload_conf()", &[])?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

//! A server that is not the one of before: promoted without the slot, or restored from a backup.

use std::collections::BTreeSet;
use std::fs;

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{ARCHIVING, Postgres, StopMode};
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::{Writer, WriterOptions};

use super::{arrived, look, recovered};
use crate::bad_input::is_halted;

fn conninfo(scenario: &Scenario, server: &Postgres) -> String {
    format!("{} dbname={}", server.facts().conninfo(), scenario.name())
}

fn writer_on(scenario: &mut Scenario, server: &Postgres) -> Outcome<Writer> {
    let conninfo = conninfo(scenario, server);
    Writer::connect(WriterOptions {
        conninfo,
        ..scenario.writer()?
    })
}

fn has_confirmed_everything(database: &Database, slot: &str) -> Outcome {
    let end = database.wal_end()?;
    wait_for("the new server's slot", || {
        match database.confirmed(slot).map_err(|failure| failure.to_string())? {
            Some(confirmed) if confirmed >= end => Ok(()),
            other => Err(format!("{other:?} instead of {end}")),
        }
    })
}

#[test]
fn rows_arrive_after_a_failover_to_a_standby_that_had_no_slot() -> Outcome {
    let mut scenario = Setup::new("rec_failover").private_postgres(&[]).start()?;
    let standby = scenario
        .servers
        .own_postgres()?
        .start_standby("e2e-rec-failover-standby")?;
    let copy = Database::connect(&conninfo(&scenario, &standby))?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    writer.write(20)?;
    wait_for("the standby to have all rows", || {
        let rows = copy.text("SELECT count(*)::text FROM public.outbox", &[]);
        match rows.map_err(|failure| failure.to_string())?.as_deref() {
            Some("30") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    scenario.servers.own_postgres()?.stop(StopMode::Kill)?;
    copy.text("SELECT pg_promote()::text", &[])?;
    scenario.settings.set("postgres.port", standby.port());
    let mut more = writer_on(&mut scenario, &standby)?;
    more.write(10)?;

    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "slot_missing", "a relay worked on it: ")?;
    let ended = recovered(&scenario, &[])?;
    ended.must(
        0,
        &[
            "does not exist",
            "promoted or restored at",
            "30 of 40 rows",
            "only in Kafka:  nothing",
        ],
    )?;
    relay.wait_for_phase("streaming")?;
    more.write(10)?;
    has_confirmed_everything(&copy, scenario.name())?;
    let mut history = writer.into_history();
    history.merge(more.into_history());
    let records = scenario.records()?;
    let replayed = arrived(&records, &history)?;
    ensure((records.len(), replayed) == (50, 30), || {
        format!("{replayed} of {} are replayed", records.len())
    })
}

/// Three generations: before the point that is restored, published and lost with the server, written to the restored one.
#[test]
fn after_a_restore_to_a_point_in_time_the_events_that_the_database_lacks_are_listed() -> Outcome {
    let mut scenario = Setup::new("rec_restored").private_postgres(&ARCHIVING).start()?;
    let mut kept = Writer::connect(scenario.writer()?)?;
    kept.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    let backup = scenario.servers.own_postgres()?.back_up("e2e-rec-restored-copy")?;
    kept.write(5)?;
    scenario.wait_until_confirmed()?;
    let database = scenario.database()?;
    database.rows("SELECT pg_create_restore_point('here')::text", &[])?;
    let mut lost = Writer::connect(scenario.writer()?)?;
    lost.write(7)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    archive_everything(&database)?;
    drop(database);

    let restored = backup.restore(scenario.servers.own_postgres()?, "here")?;
    scenario.servers.own_postgres()?.stop(StopMode::Immediate)?;
    scenario.settings.set("postgres.port", restored.port());
    let copy = is_primary(&scenario, &restored)?;
    let mut newer = writer_on(&mut scenario, &restored)?;
    newer.write(10)?;

    lists_what_is_lost(&scenario, &lost.into_history())?;
    let _relay = scenario.streaming_relay()?;
    newer.write(10)?;
    has_confirmed_everything(&copy, scenario.name())?;
    let mut history = kept.into_history();
    history.merge(newer.into_history());
    let records = scenario.records()?;
    let of_this_server: BTreeSet<&str> = history.committed.iter().map(|row| row.id.as_str()).collect();
    let known: Vec<_> = records
        .into_iter()
        .filter(|record| record.header("id").is_some_and(|id| of_this_server.contains(id)))
        .collect();
    let replayed = arrived(&known, &history)?;
    ensure((known.len(), replayed) == (35, 10), || {
        format!("{replayed} of {} are replayed", known.len())
    })
}

fn archive_everything(database: &Database) -> Outcome {
    let segment = "SELECT pg_walfile_name(pg_current_wal_lsn())";
    let segment = database.text(segment, &[])?.unwrap_or_default();
    database.rows("SELECT pg_switch_wal()::text", &[])?;
    wait_for("the archive", || {
        let archived = database.text("SELECT last_archived_wal FROM pg_stat_archiver", &[]);
        let archived = archived.map_err(|failure| failure.to_string())?;
        if archived.as_deref() >= Some(&segment) {
            Ok(())
        } else {
            Err(format!("{archived:?} instead of {segment}"))
        }
    })
}

fn is_primary(scenario: &Scenario, server: &Postgres) -> Outcome<Database> {
    let database = Database::connect(&conninfo(scenario, server))?;
    wait_for("the restore to end", || {
        let is_standby = database.text("SELECT pg_is_in_recovery()::text", &[]);
        match is_standby.map_err(|failure| failure.to_string())?.as_deref() {
            Some("false") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })?;
    Ok(database)
}

/// To those who ask first, in the report, and in the file.
fn lists_what_is_lost(scenario: &Scenario, lost: &History) -> Outcome {
    let lost: BTreeSet<&str> = lost.committed.iter().map(|row| row.id.as_str()).collect();
    let never = "the latter holds for 7 of them";
    look(scenario, &["--dry-run"])?.must(0, &["promoted or restored at", never, "10 missing"])?;
    let file = scenario.file("only-in-kafka.jsonl");
    let ended = recovered(scenario, &["--report", &file.display().to_string()])?;
    ended.must(
        0,
        &[
            &[never, "7 events are not among the rows", "10 of 25 rows"],
            &*lost.iter().copied().collect::<Vec<_>>(),
        ]
        .concat(),
    )?;
    let text = fs::read_to_string(file)?;
    let listed = text.lines().map(serde_json::from_str::<serde_json::Value>);
    let listed = listed.collect::<Result<Vec<_>, _>>()?;
    let ids: BTreeSet<&str> = listed.iter().filter_map(|event| event["id"].as_str()).collect();
    let are_whole = listed.iter().all(|event| {
        event["never_here"] == true && event["position"].is_string() && event["topic"] == scenario.topic().as_str()
    });
    ensure(ids == lost && are_whole, || {
        Failure::new(format!("{text} instead of {lost:?}")).to_string()
    })
}

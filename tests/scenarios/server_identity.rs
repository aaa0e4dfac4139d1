//! A server that is not, or not any more, the one that the last relay confirmed on is refused (P7). The advisory row can
//! make a relay refuse; it never moves a position.

use std::net::{Ipv4Addr, SocketAddr};

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::proxy::Proxy;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::servers::start_postgres;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{Postgres, PostgresOptions, StopMode, free_port};
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

/// Publishes a row, stops, and changes what the next relay finds written there.
fn refused_after(label: &str, change: &str, code: &str) -> Outcome {
    let mut scenario = Setup::new(label).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut first = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    first.terminate()?;
    let confirmed = scenario.confirmed()?;

    writer.write(10)?;
    change_advisory(&scenario, change)?;
    let mut second = scenario.relay()?;
    second.wait_for_fault(code)?;
    ensure(second.liveness()? == 200, || {
        "a refusal is no reason to be restarted".to_owned()
    })?;
    ensure(scenario.confirmed()? == confirmed, || "the slot was moved".to_owned())?;

    let forgotten = scenario.command(&["slot", "forget"])?;
    ensure(forgotten.code == Some(0), || format!("{forgotten:?}"))?;
    second.wait_for_phase("streaming")?;
    let report = scenario.verify(&second, &writer.into_history())?;
    ensure(report.duplicates == 0, || format!("{report}"))
}

fn change_advisory(scenario: &Scenario, change: &str) -> Outcome {
    scenario
        .database()?
        .run(&format!("UPDATE outbox_relay.advisory SET {change}"))
}

#[test]
fn another_cluster_is_refused_until_the_operator_accepts_it() -> Outcome {
    refused_after("identity", "system_identifier = '1'", "server_replaced")
}

#[test]
fn a_server_whose_wal_ends_before_what_was_confirmed_is_refused() -> Outcome {
    refused_after("went_back", "confirmed_lsn = 'FFFF/0'", "server_went_back")
}

#[test]
fn a_server_on_an_earlier_timeline_is_refused() -> Outcome {
    refused_after("timeline", "timeline = 9", "server_went_back")
}

#[test]
fn a_promoted_server_is_accepted_unless_it_was_promoted_before_what_was_confirmed() -> Outcome {
    let mut scenario = Setup::new("promoted").private_postgres(&[]).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    promote(&mut scenario)?;
    // Before PostgreSQL 17 even an orderly stop forgets what was confirmed since the last checkpoint.
    scenario.note_fault()?;
    writer.recover()?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;

    // As if the server before had confirmed what only came after the promotion.
    change_advisory(&scenario, "timeline = 1, confirmed_lsn = pg_current_wal_flush_lsn()")?;
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("server_went_back")?;
    ensure(readiness.body.contains("promoted at"), || readiness.body.clone())?;
    let forgotten = scenario.command(&["slot", "forget"])?;
    ensure(forgotten.code == Some(0), || format!("{forgotten:?}"))?;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20, || report.to_string())
}

/// Makes the server a standby, and the standby a primary of its own timeline.
fn promote(scenario: &mut Scenario) -> Outcome {
    let signal = scenario.servers.own_postgres()?.data_dir().join("standby.signal");
    scenario
        .database()?
        .run(&format!("COPY (SELECT) TO '{}'", signal.display()))?;
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    scenario.servers.own_postgres()?.start_again()?;
    let database = scenario.database()?;
    let promoted = database.text("SELECT pg_promote()::text", &[])?;
    ensure(promoted.as_deref() == Some("true"), || format!("{promoted:?}"))?;
    database.run("CHECKPOINT")?;
    let timeline = database.text("SELECT timeline_id::text FROM pg_control_checkpoint()", &[])?;
    ensure(timeline.as_deref() == Some("2"), || format!("timeline {timeline:?}"))
}

/// The copy's own advisory row is as old as the copy: only the relay that lived through it knows better.
#[test]
fn an_old_copy_of_the_server_is_refused_by_the_relay_that_knows_the_newer_one() -> Outcome {
    let mut scenario = Setup::new("copy_back").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    let copy = scenario.servers.own_postgres()?.copy_data()?;
    scenario.servers.own_postgres()?.start_again()?;
    relay.wait_for_phase("streaming")?;
    writer.recover()?;
    for _ in 0..10 {
        writer.write(100)?;
    }
    scenario.wait_until_confirmed()?;
    let published = scenario.records()?.len();

    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    scenario.servers.own_postgres()?.exchange_data(&copy)?;
    scenario.servers.own_postgres()?.start_again()?;
    let confirmed = scenario.confirmed()?;
    is_refused(&mut relay, "server_went_back")?;
    let after = (scenario.records()?.len(), scenario.confirmed()?);
    ensure(after == (published, confirmed), || {
        format!("{after:?} instead of {published} records and {confirmed}")
    })?;

    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    scenario.servers.own_postgres()?.exchange_data(&copy)?;
    scenario.servers.own_postgres()?.start_again()?;
    relay.wait_for_phase("streaming")?;
    writer.recover()?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 1_020 && report.duplicates == 0, || report.to_string())
}

/// Nobody is left who knows better: this is what the page says is not promised.
#[test]
fn an_old_copy_of_the_server_is_not_told_from_the_server_by_a_relay_that_was_restarted() -> Outcome {
    let mut scenario = Setup::new("copy_untold").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}"))?;
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    let copy = scenario.servers.own_postgres()?.copy_data()?;
    scenario.servers.own_postgres()?.start_again()?;
    writer.recover()?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let published = scenario.records()?.len();
    ensure(published >= 20, || format!("{published} records"))?;

    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    scenario.servers.own_postgres()?.exchange_data(&copy)?;
    scenario.servers.own_postgres()?.start_again()?;
    scenario.streaming_relay()?;
    let rows = scenario
        .database()?
        .text("SELECT count(*)::text FROM public.outbox", &[])?;
    ensure(rows.as_deref() == Some("10"), || {
        format!("{rows:?} rows: it is no old copy")
    })
}

/// The other cluster has a relay's memory of its own, so that nothing there looks wrong.
#[test]
fn another_cluster_behind_the_same_address_is_refused_by_the_relay_that_knows_the_first() -> Outcome {
    let mut scenario = Setup::new("swapped").start()?;
    let first = SocketAddr::from((Ipv4Addr::LOCALHOST, scenario.servers.postgres()?.port));
    let other = start_postgres(&PostgresOptions::named("e2e-swapped-other")?)?;
    prepare_like(&mut scenario, &other)?;
    let door = Proxy::open(free_port()?, first, Vec::new())?;
    scenario.settings.set("postgres.port", door.port());
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;

    door.lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, other.port())));
    is_refused(&mut relay, "server_replaced")?;
    door.lead_to(first);
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.duplicates == 0, || report.to_string())
}

/// Migrates and streams from another server, with the same names, and comes back.
fn prepare_like(scenario: &mut Scenario, other: &Postgres) -> Outcome {
    let conninfo = other.facts().conninfo();
    Database::connect(&conninfo)?.run(&format!("CREATE DATABASE {}", scenario.name()))?;
    let first = scenario.servers.postgres()?.port;
    scenario.settings.set("postgres.port", other.port());
    scenario.migrate()?;
    let created = scenario.command(&["slot", "create"])?;
    ensure(created.code == Some(0), || format!("{created:?}"))?;
    let mut relay = scenario.streaming_relay()?;
    let database = Database::connect(&format!("{conninfo} dbname={}", scenario.name()))?;
    wait_for("the relay's memory to be written", || {
        let rows = database.rows("SELECT FROM outbox_relay.advisory", &[]);
        let rows = rows.map_err(|failure| failure.to_string())?;
        (!rows.is_empty()).then_some(()).ok_or_else(|| "no row".to_owned())
    })?;
    relay.terminate()?;
    scenario.settings.set("postgres.port", first);
    Ok(())
}

/// Halted, said once, and alive.
fn is_refused(relay: &mut Relay, code: &str) -> Outcome {
    relay.wait_for_fault(code)?;
    let logged = relay.log().matches("code=\"server_").count();
    let halted = relay.readiness()?;
    ensure(
        halted.phase() == "halted" && relay.liveness()? == 200 && logged == 1,
        || format!("{logged} lines; {halted:?}"),
    )
}

/// After a kill, what follows may have been published before; after a clean stop, nothing may.
#[test]
fn a_clean_stop_is_noted_and_a_kill_is_not() -> Outcome {
    let mut scenario = Setup::new("goodbye").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    noted(&scenario, "true")?;

    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    says_possible_duplicates(&relay, 0)?;
    relay.wait_for_figure("slot_active", |active| active >= 1.0)?;
    relay.kill()?;
    noted(&scenario, "false")?;
    scenario.note_fault()?;

    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    says_possible_duplicates(&relay, 10)?;
    ensure(report.duplicates == 0, || report.to_string())
}

/// Looks at the note and dates it into the future, so that whatever is written next counts as written before it.
fn noted(scenario: &Scenario, clean_stop: &str) -> Outcome {
    let noted = scenario
        .database()?
        .text("SELECT clean_stop::text FROM outbox_relay.advisory", &[])?;
    ensure(noted.as_deref() == Some(clean_stop), || {
        format!("{noted:?} is noted instead of {clean_stop}")
    })?;
    change_advisory(scenario, "written_at = clock_timestamp() + interval '1 hour'")
}

fn says_possible_duplicates(relay: &Relay, expected: usize) -> Outcome {
    let said = relay.figures()?.count("possible_duplicates_total");
    ensure(said == expected, || {
        format!("{said} possible duplicates are counted instead of {expected}")
    })
}

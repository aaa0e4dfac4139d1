//! One slot, one relay: the slot itself is the lock.

use nix::sys::signal::Signal;
use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::weather::{Stretch, Weather};
use outbox_relay_tests::writer::Writer;

use crate::dead_letters::{MESSAGE_MAX, letters, set_aside, write};

const LIMIT: &str = "max.message.bytes";
const LARGE_BYTES: usize = 60_000;
/// Rows of the large transaction before the one that its topic refuses, and after it.
const BEFORE: usize = 60;
const AFTER: usize = 3_000;
/// More bytes after the refused row than the sockets between server and relay hold.
const AFTER_BYTES_EACH: usize = 10_000;
/// Less than the rows after the refused one.
const BUDGET: usize = 100;

#[test]
fn a_second_relay_stands_by_and_takes_over_when_the_first_is_killed() -> Outcome {
    let mut scenario = Setup::new("standby").start()?;
    let load = scenario.load()?;
    let mut first = scenario.streaming_relay()?;
    let mut second = scenario.relay()?;
    let readiness = second.wait_for_phase("standby")?;
    ensure(readiness.status == 503, || {
        format!("a standby is not ready: {readiness:?}")
    })?;
    ensure(
        readiness.has("slot_active") && readiness.body.contains("in use: outbox_relay from"),
        || format!("a standby says who holds the slot: {readiness:?}"),
    )?;
    ensure(second.liveness()? == 200, || "a standby is live".to_owned())?;
    second.wait_for_figure("slot_active", |active| active >= 1.0)?;
    second.wait_for_figure("slot_retained_wal_bytes", |bytes| bytes > 0.0)?;
    first.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    // Before the kill, because the second one takes over at once.
    scenario.note_fault()?;
    first.kill()?;
    second.wait_for_phase("streaming")?;
    second.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    let history = load.stop()?;
    scenario.verify(&second, &history).map(drop)
}

/// The first relay freezes in the middle of a transaction, a part of it published; the second one publishes all of it.
/// What the first one still remembers of it must neither stop it nor hold back what it confirms when it is its turn again.
#[test]
fn a_relay_that_lost_the_slot_in_mid_transaction_takes_over_again_later() -> Outcome {
    let setup = Setup::new("half_taken").partitions(1).topic_config(LIMIT, "10000");
    let mut scenario = setup.set("pipeline.in_flight_records_max", BUDGET).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut first = impatient_relay(&mut scenario)?;
    scenario.wait_until_confirmed()?;
    publish_a_part(&mut writer, &mut first)?;
    let mut second = scenario.relay()?;
    second.wait_for_phase("standby")?;

    scenario.note_fault()?;
    first.signal(Signal::SIGSTOP)?;
    second.wait_for_fault("record_too_large")?;
    let topic = scenario.topic();
    scenario.servers.topics()?.alter(&topic, &[(LIMIT, "1000000")])?;
    second.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;

    first.may_show("postgres_unreachable");
    first.signal(Signal::SIGCONT)?;
    first.wait_for_phase("standby")?;
    first.wait_for_figure("in_flight_events", |records| records == 0.0)?;
    let taken = first.figures()?.count("events_received_total");
    ensure(taken < AFTER, || {
        format!("it was not frozen in mid-transaction: {taken} rows")
    })?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let code = second.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}\n{}", second.log_tail()))?;
    first.wait_for_phase("streaming")?;
    writer.write(10)?;
    scenario.verify(&first, &writer.into_history()).map(drop)
}

/// The first one is cut off from PostgreSQL while the broker stands still with its records; the second one publishes them too,
/// and goes on. What the first one had in its queue comes in between.
#[test]
fn an_owner_that_was_cut_off_with_records_in_its_queue_reorders_nothing_for_the_next_one() -> Outcome {
    let mut scenario = Setup::new("half_open").private_kafka().start()?;
    let server = format!("127.0.0.1:{}", scenario.servers.postgres()?.port).parse()?;
    let to_postgres = Stretch::open(0, server)?;
    let direct = scenario.settings.clone();
    scenario.settings.set("postgres.port", to_postgres.port());
    let mut first = scenario.streaming_relay()?;
    scenario.settings = direct;
    let load = scenario.load()?;
    first.wait_for_figure("events_acked_total", |records| records > 300.0)?;
    let mut second = scenario.relay()?;
    second.wait_for_phase("standby")?;

    scenario.note_fault()?;
    scenario.servers.own_kafka()?.freeze(0)?;
    first.wait_for_figure("in_flight_events", |records| records > 300.0)?;
    to_postgres.set(Weather::BlackHole);
    // What `wal_sender_timeout` would do later.
    scenario.database()?.run(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        scenario.name()
    ))?;
    second.may_show("kafka_unreachable");
    // One, until the broker has taken it: nobody there knows its producer yet.
    second.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    let queued = first.figures()?.get("in_flight_events");
    ensure(queued > 300.0, || {
        format!("only {queued} records wait in the queue of the first")
    })?;
    scenario.servers.own_kafka()?.thaw(0)?;
    second.wait_for_phase("streaming")?;
    first.wait_for_figure("in_flight_events", |records| records == 0.0)?;
    let history = load.stop()?;
    // How often they take turns has no bound: everything else must hold.
    let mut report = scenario.report(&second, &history)?;
    report.runs_max = report.runs;
    report.accept()?;
    ensure(report.duplicates > 0, || {
        format!("nothing was published by both: {report}")
    })
}

/// The first one freezes while its letter waits for a lock. The second one takes more from its producer, and publishes the row.
#[test]
fn an_owner_that_was_frozen_before_its_letter_writes_none_for_a_row_that_the_next_one_published() -> Outcome {
    let mut scenario = set_aside("late_letter").start()?;
    let mut first = scenario.streaming_relay()?;
    let (database, operator) = (scenario.database()?, scenario.database()?);
    let slot = scenario.settings.text("postgres.slot").to_owned();
    operator.run(&format!("BEGIN; SELECT outbox_relay.letters_lock('{slot}')"))?;
    let ids = write(&scenario, &[("a", 30_000)])?;
    wait_for_waiting_letter(&database)?;
    first.signal(Signal::SIGSTOP)?;
    let user = scenario.settings.text("postgres.user").to_owned();
    database.run(&format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '{user}' AND datname = current_database()"
    ))?;
    operator.run("ROLLBACK")?;

    scenario.settings.set(MESSAGE_MAX, 1_000_000);
    let _second = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    first.may_show("postgres_unreachable");
    first.may_show("slot_active");
    first.signal(Signal::SIGCONT)?;
    wait_for("the first relay to see whose letters they are", || {
        let kept = letters(&scenario).map_err(|failure| failure.to_string())?;
        let is_told = first.log().contains("another relay has begun on the slot");
        (is_told || !kept.is_empty())
            .then_some(())
            .ok_or_else(|| "it has not looked".to_owned())
    })?;
    let kept = letters(&scenario)?;
    ensure(kept.is_empty(), || format!("a letter of a published row: {kept:?}"))?;
    let records = scenario.records()?;
    let published: Vec<_> = records.iter().filter_map(|record| record.header("id")).collect();
    ensure(published == [ids[0].as_str()], || format!("{published:?}"))
}

fn wait_for_waiting_letter(database: &Database) -> Outcome {
    let waiting = "SELECT count(*)::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)
         WHERE l.locktype = 'advisory' AND NOT l.granted AND a.datname = current_database()";
    wait_for("the letter to wait for its lock", || {
        let count = database.text(waiting, &[]).map_err(|failure| failure.to_string())?;
        (count.as_deref() == Some("1"))
            .then_some(())
            .ok_or_else(|| format!("{count:?} wait"))
    })
}

/// The server gives it up soon after it falls silent.
fn impatient_relay(scenario: &mut Scenario) -> Outcome<Relay> {
    let key = "postgres.wal_sender_timeout_ms";
    scenario.settings.set(key, 5_000);
    let relay = scenario.streaming_relay()?;
    scenario.settings.set(key, 60_000);
    Ok(relay)
}

fn publish_a_part(writer: &mut Writer, relay: &mut Relay) -> Outcome {
    let before = relay.figures()?.count("events_acked_total");
    writer.begin()?;
    writer.insert(BEFORE)?;
    let large = std::iter::repeat_with(fastrand::alphanumeric)
        .take(LARGE_BYTES)
        .collect();
    writer.insert_payloads(vec![large])?;
    writer.insert_payloads(vec!["x".repeat(AFTER_BYTES_EACH); AFTER])?;
    writer.commit()?;
    relay.wait_for_fault("record_too_large")?;
    let acknowledged = relay.figures()?.count("events_acked_total") - before;
    ensure(acknowledged == BEFORE, || {
        format!("{acknowledged} rows of it are acknowledged")
    })
}

//! What needs a person: the line halts, says so, and goes on by itself once the cause is gone (P3, P7).

use std::collections::HashMap;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::relay::{Readiness, Relay};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

/// The topic setting that bounds a batch.
const LIMIT: &str = "max.message.bytes";

#[test]
fn a_missing_topic_halts_the_line_and_creating_it_resumes() -> Outcome {
    let mut scenario = Setup::new("no_topic").without_topic().start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(20)?;
    let topic = scenario.topic();
    let readiness = relay.wait_for_fault("topic_missing")?;
    is_halted(&relay, &readiness, &[&topic, "create the topic"])?;
    writer.write(20)?;
    scenario.create_topic(&topic, 3, &[])?;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || {
        format!("the halted line repeated records: {report}")
    })
}

/// One slot, one line: rows for other topics wait too, at every attempt, or each restart would repeat them.
#[test]
fn while_the_line_is_halted_nothing_else_passes_the_record_that_halts_it() -> Outcome {
    let mut scenario = Setup::new("all_halt").without_topic().start()?;
    let topic = scenario.topic();
    let other = format!("{}.other", scenario.name());
    scenario.create_topic(&other, 1, &[])?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(20)?;
    relay.wait_for_fault("topic_missing")?;
    let mut options = scenario.writer()?;
    (options.aggregate_type, options.topic) = ("other".to_owned(), other);
    let mut others = Writer::connect(options)?;
    let (received, rebuilds) = halted_figures(&relay)?;
    for _ in 0..10 {
        others.write(3)?;
    }
    relay.wait_for_figure("producer_rebuilds_total", |now| now >= rebuilds + 3.0)?;
    let passed = relay.figures()?.get("events_received_total") - received;
    ensure(passed.abs() < 0.5, || format!("{passed} rows passed the halted line"))?;
    scenario.create_topic(&topic, 3, &[])?;
    relay.wait_for_phase("streaming")?;
    let mut history = writer.into_history();
    history.merge(others.into_history());
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || report.to_string())
}

fn halted_figures(relay: &Relay) -> Outcome<(f64, f64)> {
    let figures = relay.figures()?;
    Ok((
        figures.get("events_received_total"),
        figures.get("producer_rebuilds_total"),
    ))
}

/// A failed delivery report does not carry the timestamp of its record: it must come from elsewhere, and be the same.
#[test]
fn records_that_failed_and_are_sent_again_keep_the_time_of_their_rows() -> Outcome {
    let mut scenario = Setup::new("sent_again").without_topic().start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..5 {
        writer.write(20)?;
    }
    relay.wait_for_fault("topic_missing")?;
    scenario.create_topic(&scenario.topic(), 3, &[])?;
    relay.wait_for_phase("streaming")?;
    writer.write(20)?;
    scenario.verify(&relay, &writer.into_history())?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    ensure(rebuilds > 0, || "nothing was sent again".to_owned())?;
    let created = created_at_ms(&scenario)?;
    for record in scenario.records()? {
        let expected = record.header("id").and_then(|id| created.get(id)).copied();
        ensure(expected.is_some() && record.timestamp_ms == expected, || {
            format!("{expected:?} is when the row was created: {record:?}")
        })?;
    }
    Ok(())
}

/// By id, in milliseconds since the Unix epoch.
fn created_at_ms(scenario: &Scenario) -> Outcome<HashMap<String, i64>> {
    let statement = "SELECT id::text, (extract(epoch FROM created_at) * 1000000)::int8 / 1000 FROM public.outbox";
    let rows = scenario.database()?.rows(statement, &[])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

#[test]
fn a_record_too_large_for_its_topic_halts_the_line_and_raising_the_limit_resumes() -> Outcome {
    let mut scenario = Setup::new("too_large")
        .partitions(1)
        .topic_config(LIMIT, "10000")
        .start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    writer.begin()?;
    writer.insert(10)?;
    writer.insert_payloads(vec![noise(60_000)])?;
    writer.insert(10)?;
    writer.commit()?;
    writer.write(50)?;
    let readiness = relay.wait_for_fault("record_too_large")?;
    is_halted(&relay, &readiness, &[&scenario.topic(), LIMIT])?;
    goes_on(&mut scenario, &mut relay, &writer.into_history(), 60)
}

/// The first batch of a new producer is the refused one, and more batches follow it at once.
#[test]
fn a_backlog_does_not_overtake_the_record_too_large_that_it_begins_with() -> Outcome {
    let mut scenario = Setup::new("too_large_first")
        .partitions(1)
        .topic_config(LIMIT, "600000")
        .start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert_payloads(vec![noise(700_000)])?;
    writer.commit()?;
    for _ in 0..10 {
        writer.write(1_000)?;
    }
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("record_too_large")?;
    goes_on(&mut scenario, &mut relay, &writer.into_history(), 0)
}

/// The same among three partitions: whatever went to the others, each of them keeps its order.
#[test]
fn a_record_too_large_among_many_keeps_every_partition_in_order() -> Outcome {
    let mut scenario = Setup::new("too_large_many").topic_config(LIMIT, "20000").start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    load.wait_for_more(500)?;
    scenario.note_fault()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert_payloads(vec![noise(100_000)])?;
    writer.commit()?;
    relay.wait_for_fault("record_too_large")?;
    load.wait_for_more(500)?;
    scenario
        .servers
        .topics()?
        .alter(&scenario.topic(), &[(LIMIT, "1000000")])?;
    relay.wait_for_phase("streaming")?;
    let mut history = load.stop()?;
    history.merge(writer.into_history());
    let report = scenario.verify(&relay, &history)?;
    let possible = relay.figures()?.count("possible_duplicates_total");
    ensure(possible >= report.duplicates, || {
        format!("{possible} possible duplicates, and {report}")
    })
}

/// Brokers refuse a batch as a whole: a topic may take every record and still refuse most batches of a backlog.
#[test]
fn a_topic_with_a_limit_far_below_a_batch_gets_everything_in_order() -> Outcome {
    let mut scenario = Setup::new("small_limit").topic_config(LIMIT, "20000").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..50 {
        writer.write(100)?;
    }
    scenario.note_fault()?;
    let relay = scenario.relay()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// Until the limit is raised, nothing but the records before the large one is there or confirmed; then all of it is.
fn goes_on(scenario: &mut Scenario, relay: &mut Relay, history: &History, before: usize) -> Outcome {
    let published = scenario.records()?.len();
    let confirmed = scenario.confirmed()?;
    scenario
        .servers
        .topics()?
        .alter(&scenario.topic(), &[(LIMIT, "1000000")])?;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(relay, history)?;
    ensure(published == before, || {
        format!("{published} records instead of the {before} before the large one")
    })?;
    ensure(report.duplicates == 0, || {
        format!("the halted line repeated records: {report}")
    })?;
    let records = scenario.records()?;
    let position = records
        .get(before)
        .and_then(|record| record.header("position"))
        .unwrap_or_default();
    let limit = format!("{:016X}", confirmed.as_u64());
    ensure(limit.as_str() <= position, || {
        format!("{limit} was confirmed, beyond the large record at {position}")
    })
}

fn is_halted(relay: &Relay, readiness: &Readiness, said: &[&str]) -> Outcome {
    let Readiness { status, body } = readiness;
    ensure(*status == 503 && readiness.phase() == "halted", || {
        format!("{status} {body}")
    })?;
    ensure(said.iter().all(|said| body.contains(said)), || {
        format!("{said:?} is not all in: {body}")
    })?;
    ensure(relay.liveness()? == 200, || "a halted relay must stay live".to_owned())
}

/// Text that does not become much smaller when it is compressed.
fn noise(bytes: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect()
}

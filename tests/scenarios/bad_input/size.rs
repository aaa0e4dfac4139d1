//! A row that is larger than the relay's own limits: it waits at that row, and a raised limit lets it go on.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::exit_code;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::is_halted;

const LARGE_BYTES: usize = 100_000;
/// Rows before the large one, of which some are in its transaction.
const BEFORE: usize = 10;
const BEFORE_INSIDE: usize = 5;
const AFTER: usize = 20;

/// Writes rows, a large one in the middle of a transaction, and more rows.
fn write_large(scenario: &Scenario, writer: &mut Writer) -> Outcome {
    writer.write(BEFORE)?;
    scenario.wait_until_confirmed()?;
    writer.begin()?;
    writer.insert(BEFORE_INSIDE)?;
    writer.insert_payloads(vec!["x".repeat(LARGE_BYTES)])?;
    writer.insert(AFTER / 2)?;
    writer.commit()?;
    writer.write(AFTER / 2)
}

/// The relay stands at the large row: what is before it is published, nothing else is, and its transaction is open.
fn stands_there(scenario: &Scenario, relay: &mut Relay) -> Outcome {
    relay.wait_for_figure("in_flight_events", |records| records == 0.0)?;
    let records = scenario.records()?;
    ensure(records.len() == BEFORE + BEFORE_INSIDE, || {
        format!("{} records are published", records.len())
    })?;
    let newest = records.iter().filter_map(|record| record.header("position")).max();
    let confirmed = format!("{:016X}", scenario.confirmed()?.as_u64());
    ensure(newest.is_some_and(|newest| confirmed.as_str() <= newest), || {
        format!("{confirmed} is confirmed, beyond {newest:?}")
    })
}

/// A relay with a raised limit publishes all of it; of the open transaction it repeats what was published.
fn goes_on(scenario: &mut Scenario, mut relay: Relay, writer: Writer, limit: (&str, usize)) -> Outcome {
    let code = relay.terminate()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    scenario.note_fault()?;
    scenario.settings.set(limit.0, limit.1);
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    let rows = BEFORE + BEFORE_INSIDE + 1 + AFTER;
    ensure(report.rows == rows && report.duplicates == BEFORE_INSIDE, || {
        report.to_string()
    })
}

#[test]
fn a_row_larger_than_the_largest_frame_halts_and_a_raised_limit_publishes_it() -> Outcome {
    let limit = "postgres.frame_bytes_max";
    let mut scenario = Setup::new("frame").set(limit, 65_536).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    write_large(&scenario, &mut writer)?;
    is_halted(&mut relay, "row_too_large", limit)?;
    stands_there(&scenario, &mut relay)?;
    goes_on(&mut scenario, relay, writer, (limit, 1_000_000))
}

#[test]
fn a_record_larger_than_the_client_takes_halts_by_name_and_a_raised_limit_publishes_it() -> Outcome {
    let limit = "kafka.properties.\"message.max.bytes\"";
    let mut scenario = Setup::new("client_limit").set(limit, 50_000).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    write_large(&scenario, &mut writer)?;
    is_halted(&mut relay, "record_too_large", "message.max.bytes")?;
    let statement = "SELECT id::text FROM public.outbox ORDER BY length(payload::text) DESC LIMIT 1";
    let id = scenario.database()?.text(statement, &[])?.unwrap_or_default();
    let body = relay.readiness()?.body;
    ensure(body.contains(&id) && body.contains(&scenario.topic()), || {
        format!("neither {id} nor its topic is in: {body}")
    })?;
    stands_there(&scenario, &mut relay)?;
    goes_on(&mut scenario, relay, writer, (limit, 1_000_000))
}

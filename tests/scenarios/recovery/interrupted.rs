//! A recovery that is interrupted, killed, or kept from its end by Kafka: the next run goes on.

use nix::sys::signal::Signal;
use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::program::UnderWay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::{arrived, audited, begin, recovered};

const ROWS: usize = 40_000;
const PER_TRANSACTION: usize = 2_000;

/// Waits until more than so many records can be read, and gives up the recovery.
fn stop_in_the_middle(scenario: &Scenario, recovery: &UnderWay, signal: Signal, beyond: usize) -> Outcome {
    wait_for("records to arrive", || match published(scenario) {
        Ok(records) if records > beyond => Ok(()),
        other => Err(format!("{other:?}; {}", recovery.said())),
    })?;
    recovery.signal(signal)
}

fn published(scenario: &Scenario) -> Outcome<usize> {
    let ends = scenario.consumer()?.end_offsets(&[scenario.topic()])?;
    Ok(usize::try_from(ends.values().sum::<i64>())?)
}

#[test]
fn a_recovery_that_was_interrupted_and_then_killed_is_gone_on_with_by_the_next_run() -> Outcome {
    let mut scenario = Setup::new("rec_again").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..ROWS / PER_TRANSACTION {
        writer.write(PER_TRANSACTION)?;
    }
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;

    let mut first = begin(&scenario, &["--since", "2000-01-01"])?;
    stop_in_the_middle(&scenario, &first, Signal::SIGINT, 0)?;
    first.wait()?.must_refuse("recovery_interrupted", &["run it again"])?;
    let by_first = published(&scenario)?;
    // Neither the time nor anything else has to be said once more.
    let mut second = begin(&scenario, &[])?;
    stop_in_the_middle(&scenario, &second, Signal::SIGKILL, by_first)?;
    second
        .wait()?
        .must(0, &[])
        .err()
        .ok_or_else(|| Failure::new("it was not killed in time"))?;
    let by_second = published(&scenario)?;
    ensure(0 < by_first && by_first < by_second && by_second < ROWS, || {
        format!("{by_first} and {by_second} of {ROWS}: nothing was interrupted in the middle")
    })?;

    let ended = recovered(&scenario, &[])?;
    ended.must(
        0,
        &["and not ended", "the recovery that did not reach its end", "keep slot"],
    )?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?;
    let replayed = arrived(&records, &writer.into_history())?;
    ensure(replayed == ROWS, || format!("{replayed} are replayed"))?;
    is_repeated_only_in_flight(&records)?;
    let audited = audited(&scenario)?;
    let noted = [
        "begun: make slot",
        "recovery_interrupted",
        "begun: keep slot",
        "begun: keep slot",
        "done: slot kept",
    ];
    let is_noted = audited.len() == noted.len() && audited.iter().zip(noted).all(|(row, said)| row.contains(said));
    ensure(is_noted, || format!("{audited:?}"))
}

/// What was under way to the brokers when it ended may be there and not have been found.
fn is_repeated_only_in_flight(records: &[Record]) -> Outcome {
    let repeated = records.len() - ROWS - 10;
    ensure(repeated < ROWS / 4, || format!("{repeated} records were repeated"))
}

#[test]
fn once_it_has_reached_its_end_a_second_run_says_that_nothing_is_to_be_done_and_publishes_nothing() -> Outcome {
    let scenario = Setup::new("rec_twice").start()?;
    scenario.database()?.run(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', n::text, 'happened', '{}' FROM generate_series(1, 10) AS n",
    )?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    recovered(&scenario, &["--since", "2000-01-01"])?.must(0, &["10 of 10 rows"])?;
    super::recover(&scenario, &[])?.must_refuse("recovery_not_needed", &["there and whole", "--keep-slot"])?;
    let slot = scenario.confirmed()?;
    recovered(&scenario, &["--since", "2000-01-01", "--keep-slot"])?.must(0, &["0 of 10 rows; Kafka had 10"])?;
    let after = (published(&scenario)?, scenario.confirmed()?);
    ensure(after == (10, slot), || format!("{after:?}"))
}

/// Brokers that are away are waited for, for as long as it takes.
#[test]
fn a_kafka_that_goes_away_in_the_middle_is_waited_for() -> Outcome {
    let mut scenario = Setup::new("rec_outage").private_kafka().start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..ROWS / PER_TRANSACTION {
        writer.write(PER_TRANSACTION)?;
    }
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    let mut recovery = begin(&scenario, &["--since", "2000-01-01"])?;
    wait_for("records to arrive", || match published(&scenario) {
        Ok(records) if records > 0 => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    scenario.servers.own_kafka()?.kill(0)?;
    recovery.wait_until_it_says("waiting: no Kafka broker answers")?;
    scenario.servers.own_kafka()?.start_again_all()?;
    recovery.wait()?.must(0, &["start the relay"])?;
    let _relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    arrived(&scenario.records()?, &writer.into_history()).map(drop)
}

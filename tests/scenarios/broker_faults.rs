//! Kafka goes away under load and comes back (P1, P2, P3).

use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::load::Load;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::verifier::Outage;
use outbox_relay_tests::writer::Writer;

/// Rows that are committed while the brokers are away.
const MEANWHILE: usize = 500;

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() -> Outcome {
    let mut scenario = Setup::new("broker_kill").private_kafka().start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for _ in 0..2 {
        begin_fault(&mut scenario, &mut relay)?;
        scenario.servers.own_kafka()?.kill(0)?;
        stay_away(&mut scenario, &mut relay, &load)?;
        scenario.servers.own_kafka()?.start_again(0)?;
        end_fault(&mut relay)?;
    }
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

#[test]
fn a_broker_that_freezes_and_thaws_loses_nothing() -> Outcome {
    let mut scenario = Setup::new("broker_freeze").private_kafka().start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    begin_fault(&mut scenario, &mut relay)?;
    scenario.servers.own_kafka()?.freeze(0)?;
    stay_away(&mut scenario, &mut relay, &load)?;
    scenario.servers.own_kafka()?.thaw(0)?;
    end_fault(&mut relay)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

/// The relay lives on: what may be repeated is what had not been confirmed before the fault.
fn begin_fault(scenario: &mut Scenario, relay: &mut Relay) -> Outcome {
    let acknowledged = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |now| now >= acknowledged + 500.0)?;
    scenario.note_fault()
}

/// Until the relay has noticed, has records in flight, and more rows are committed; nothing of that may be confirmed.
fn stay_away(scenario: &mut Scenario, relay: &mut Relay, load: &Load) -> Outcome {
    let from = scenario.database()?.wal_end()?;
    load.wait_for_more(MEANWHILE)?;
    relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    relay.wait_for_fault("kafka_unreachable")?;
    let confirmed = scenario.confirmed()?;
    scenario.outages.push(Outage { from, confirmed });
    Ok(())
}

fn end_fault(relay: &mut Relay) -> Outcome {
    relay.wait_for_phase("streaming")?;
    let acknowledged = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |now| now > acknowledged)
}

/// Nothing was ever sent, so no delivery report and no topic tells how the brokers are.
#[test]
fn an_idle_relay_notices_that_the_broker_is_away_and_that_it_is_back() -> Outcome {
    let mut scenario = Setup::new("broker_idle").private_kafka().start()?;
    let mut relay = scenario.streaming_relay()?;
    scenario.servers.own_kafka()?.kill(0)?;
    relay.wait_for_fault("kafka_unreachable")?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

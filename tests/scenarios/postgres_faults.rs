//! `PostgreSQL` goes away under load and comes back (P1, P7).

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::load::Load;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::StopMode;
use outbox_relay_tests::writer::Writer;

/// A crash takes the slot back to its last checkpoint. The relay that lived through it knows what it has published.
#[test]
fn restarts_and_crashes_of_postgresql_lose_and_repeat_nothing() -> Outcome {
    let mut scenario = Setup::new("restart").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for mode in [StopMode::Fast, StopMode::Immediate, StopMode::Kill] {
        publish_more(&mut relay)?;
        scenario.servers.own_postgres()?.stop(mode)?;
        relay.wait_for_fault("postgres_unreachable")?;
        scenario.servers.own_postgres()?.start_again()?;
        relay.wait_for_phase("streaming")?;
    }
    publish_more(&mut relay)?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || {
        format!("the relay forgot what it had published: {report}")
    })
}

/// The worst of both: the relay that knew is gone, and the slot is back at its last checkpoint.
#[test]
fn a_crash_of_postgresql_together_with_the_relay_loses_nothing() -> Outcome {
    let mut scenario = Setup::new("both_crash").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    publish_more(&mut relay)?;
    relay.kill()?;
    scenario.servers.own_postgres()?.stop(StopMode::Kill)?;
    scenario.servers.own_postgres()?.start_again()?;
    scenario.note_fault()?;
    let mut relay = scenario.streaming_relay()?;
    publish_more(&mut relay)?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates > 0, || format!("the crash hit nothing: {report}"))
}

/// Nothing was in flight and the relay had stopped cleanly: what comes again is what the server forgot.
#[test]
fn after_a_crash_of_postgresql_a_restarted_relay_gets_again_what_was_confirmed_since_the_checkpoint() -> Outcome {
    let mut scenario = Setup::new("forgets").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    scenario.wait_until_confirmed()?;
    scenario.database()?.run("CHECKPOINT")?;
    writer.write(20)?;
    scenario.wait_until_confirmed()?;
    let code = relay.terminate()?;
    ensure(code == Some(0), || relay.log_tail())?;
    let confirmed = scenario.confirmed()?;
    scenario.servers.own_postgres()?.stop(StopMode::Kill)?;
    scenario.servers.own_postgres()?.start_again()?;
    let after = scenario.confirmed()?;
    ensure(after < confirmed, || {
        format!("confirmed up to {confirmed}, and {after} after the crash")
    })?;
    scenario.note_fault()?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure((1..=20).contains(&report.duplicates), || report.to_string())
}

/// A server that shuts down waits for ever for its walsenders to have everything acknowledged.
#[test]
fn a_fast_shutdown_is_not_blocked_by_a_relay_whose_kafka_is_down() -> Outcome {
    let mut scenario = Setup::new("shutdown").private_postgres(&[]).private_kafka().start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    publish_more(&mut relay)?;
    scenario.note_fault()?;
    scenario.servers.own_kafka()?.kill(0)?;
    relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    relay.wait_for_fault("kafka_unreachable")?;
    relay.may_show("postgres_unreachable");
    // A broker that takes half a minute to come back.
    relay.may_show("acknowledgements_stalled");
    // Fails when the server has not ended after a minute.
    scenario.servers.own_postgres()?.stop(StopMode::Fast)?;
    come_back(&mut scenario, &mut relay, load)
}

fn come_back(scenario: &mut Scenario, relay: &mut Relay, load: Load) -> Outcome {
    scenario.servers.own_postgres()?.start_again()?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    publish_more(relay)?;
    let history = load.stop()?;
    scenario.verify(relay, &history).map(drop)
}

fn publish_more(relay: &mut Relay) -> Outcome {
    let acknowledged = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |now| now >= acknowledged + 300.0)
}

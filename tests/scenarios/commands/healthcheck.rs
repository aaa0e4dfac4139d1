//! `healthcheck`: is the relay's loop alive; not, is everything well.

use nix::sys::signal::Signal;
use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::program::Ended;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;

fn is_healthy(scenario: &mut Scenario, relay: &Relay) -> Outcome {
    asked(scenario, relay)?.must(0, &["live"])
}

fn is_not(scenario: &mut Scenario, relay: &Relay, said: &[&str]) -> Outcome {
    asked(scenario, relay)?.must_refuse("not_live", said)
}

fn asked(scenario: &mut Scenario, relay: &Relay) -> Outcome<Ended> {
    scenario
        .settings
        .set("admin.listen", format!("127.0.0.1:{}", relay.admin_port()));
    scenario.command(&["healthcheck"])
}

#[test]
fn a_relay_that_streams_is_healthy_and_one_that_is_gone_is_not() -> Outcome {
    let mut scenario = Setup::new("healthy").start()?;
    let mut relay = scenario.streaming_relay()?;
    is_healthy(&mut scenario, &relay)?;
    relay.kill()?;
    is_not(
        &mut scenario,
        &relay,
        &["no answer", "is the relay running", "admin.listen"],
    )
}

/// A restart would not help: nobody may restart it for that.
#[test]
fn a_relay_without_its_servers_is_healthy() -> Outcome {
    let mut scenario = Setup::new("no_servers").start()?;
    let nowhere = format!("127.0.0.1:{}", free_port()?);
    scenario.settings.set("kafka.bootstrap_servers", nowhere);
    let mut without_kafka = scenario.relay()?;
    without_kafka.wait_for_fault("kafka_unreachable")?;
    is_healthy(&mut scenario, &without_kafka)?;
    scenario.settings.set("postgres.port", free_port()?);
    let mut without_both = scenario.relay()?;
    without_both.wait_for_fault("postgres_unreachable")?;
    is_healthy(&mut scenario, &without_both)?;
    // As while it is being rotated.
    std::fs::remove_file(scenario.file("password"))?;
    is_healthy(&mut scenario, &without_both)
}

#[test]
fn a_relay_that_answers_nothing_is_not_healthy() -> Outcome {
    let mut scenario = Setup::new("frozen").start()?;
    let relay = scenario.streaming_relay()?;
    relay.signal(Signal::SIGSTOP)?;
    is_not(&mut scenario, &relay, &["no answer", "timed out"])
}

//! Brokers that are not where the configuration says.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::proxy::Proxy;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::verifier::Outage;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

#[test]
fn unreachable_brokers_are_waited_for_and_nothing_is_confirmed_meanwhile() -> Outcome {
    let port = free_port()?;
    let mut scenario = Setup::new("no_broker").start()?;
    scenario
        .settings
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{port}"));
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("kafka_unreachable")?;
    let body = &readiness.body;
    ensure(readiness.status == 503 && readiness.phase() == "connecting", || {
        body.clone()
    })?;
    ensure(body.contains("check kafka.bootstrap_servers"), || body.clone())?;
    ensure(relay.liveness()? == 200, || "the relay is not live".to_owned())?;

    let from = scenario.database()?.wal_end()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..10 {
        writer.write(10)?;
    }
    relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    let confirmed = scenario.confirmed()?;
    scenario.outages.push(Outage { from, confirmed });

    // The brokers of the stack now answer there, and say themselves where they are.
    let server = scenario.servers.bootstrap_servers()?.parse()?;
    let _door = Proxy::open(port, server, Vec::new())?;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

/// A broker that is being killed, or a proxy with nobody behind it, ends connections just as one does that wants TLS.
#[test]
fn whoever_hangs_up_on_everybody_is_unreachable_and_nobody_is_told_to_speak_otherwise() -> Outcome {
    let mut scenario = Setup::new("hangs_up").start()?;
    let nobody = format!("127.0.0.1:{}", free_port()?).parse()?;
    let door = Proxy::open(free_port()?, nobody, Vec::new())?;
    let address = format!("127.0.0.1:{}", door.port());
    scenario.settings.set("kafka.bootstrap_servers", address);
    let mut relay = scenario.relay()?;
    wait_for("ten connections to be ended", || match door.clients_met() {
        10.. => Ok(()),
        met => Err(format!("{met}")),
    })?;
    let readiness = relay.wait_for_fault("kafka_unreachable")?;
    ensure(readiness.phase() == "connecting", || readiness.body.clone())?;
    let log = relay.log();
    ensure(!log.contains("kafka_tls_failed"), || log.clone())
}

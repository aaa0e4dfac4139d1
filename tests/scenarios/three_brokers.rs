//! Three brokers, one of which goes away: replication is Kafka's work, and waiting for it is the relay's (P1, P3, P7).

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::setup::Setup;

const MEANWHILE: f64 = 1_000.0;
const IN_SYNC: &str = "min.insync.replicas";

#[test]
fn of_three_brokers_one_hands_its_partitions_over_and_one_is_killed_and_nothing_is_lost_or_reordered() -> Outcome {
    let setup = Setup::new("three").three_brokers().partitions(6);
    let mut scenario = setup.topic_config(IN_SYNC, "2").start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for node in [0, 1] {
        publish_more(&mut relay)?;
        scenario.note_fault()?;
        let kafka = scenario.servers.own_kafka()?;
        // Asked to stop, a broker gives its leaderships away first, as in a rolling restart.
        if node == 0 { kafka.stop(node) } else { kafka.kill(node) }?;
        // Two replicas are enough: records go on arriving without the third.
        publish_more(&mut relay)?;
        scenario.servers.own_kafka()?.start_again(node)?;
    }
    publish_more(&mut relay)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

/// One replica is not enough, and not even the brokers know who leads: everything waits.
#[test]
fn of_three_brokers_two_are_killed_at_once_and_everything_waits_for_them() -> Outcome {
    let setup = Setup::new("two_killed").three_brokers().topic_config(IN_SYNC, "2");
    let mut scenario = setup.start()?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("kafka_unreachable");
    relay.may_show("acknowledgements_stalled");
    let load = scenario.load()?;
    publish_more(&mut relay)?;
    scenario.note_fault()?;
    let kafka = scenario.servers.own_kafka()?;
    kafka.kill(0)?;
    kafka.kill(1)?;
    load.wait_for_more(1_000)?;
    relay.wait_for_figure("in_flight_events", |records| records > 500.0)?;
    scenario.servers.own_kafka()?.start_again_all()?;
    publish_more(&mut relay)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

/// The brokers answer, take records, and acknowledge none: librdkafka tries again for ever and says nothing.
#[test]
fn brokers_that_acknowledge_nothing_are_named_until_they_do() -> Outcome {
    let setup = Setup::new("stalled").three_brokers().topic_config(IN_SYNC, "3");
    let mut scenario = setup.start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    publish_more(&mut relay)?;
    scenario.note_fault()?;
    scenario.servers.own_kafka()?.freeze(2)?;
    let readiness = relay.wait_for_fault("acknowledgements_stalled")?;
    ensure(readiness.body.contains(IN_SYNC), || readiness.body.clone())?;
    ensure(relay.liveness()? == 200, || {
        "a relay that waits must stay live".to_owned()
    })?;
    scenario.servers.own_kafka()?.thaw(2)?;
    relay.wait_for_readiness("no fault", |readiness| !readiness.has("acknowledgements_stalled"))?;
    publish_more(&mut relay)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

fn publish_more(relay: &mut Relay) -> Outcome {
    let acknowledged = relay.figures()?.get("events_acked_total");
    relay.wait_for_figure("events_acked_total", |now| now >= acknowledged + MEANWHILE)
}

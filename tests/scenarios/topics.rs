//! Topics that change while the relay publishes into them.

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

const BEFORE: i32 = 3;
const AFTER: usize = 6;

/// A key moves with the number of partitions, so each is written once: loss and order of the rest can be judged.
#[test]
fn partitions_that_are_added_get_records_and_none_is_lost() -> Outcome {
    let refresh = "kafka.properties.\"topic.metadata.refresh.interval.ms\"";
    let mut scenario = Setup::new("more_partitions")
        .partitions(BEFORE)
        .set(refresh, 200)
        .start()?;
    let relay = scenario.streaming_relay()?;
    let mut options = scenario.writer()?;
    options.keys = (0..20_000).map(|key| format!("once-{key}")).collect();
    let mut writer = Writer::connect(options)?;
    writer.write(100)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.topics()?.add_partitions(&scenario.topic(), AFTER)?;
    wait_for("a record in an added partition", || {
        let told = |failure: Failure| failure.to_string();
        writer.write(20).map_err(told)?;
        let records = scenario.records().map_err(told)?;
        let added = records.iter().filter(|record| record.partition >= BEFORE).count();
        (added > 0)
            .then_some(())
            .ok_or_else(|| format!("none of {}", records.len()))
    })?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

/// What was in the deleted one is gone by the operator's will; whatever is not confirmed by then arrives in the new one.
#[test]
fn a_topic_that_is_deleted_and_made_anew_gets_everything_from_then_on() -> Outcome {
    let mut scenario = Setup::new("new_topic").start()?;
    let mut relay = scenario.streaming_relay()?;
    Writer::connect(scenario.writer()?)?.write(50)?;
    scenario.wait_until_confirmed()?;
    let topic = scenario.topic();
    // What is under way to a leader that goes with the topic can come back as that leader's end.
    relay.may_show("delivery_failed");
    scenario.servers.topics()?.delete(&topic)?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    let readiness = relay.wait_for_fault("topic_missing")?;
    ensure(readiness.body.contains(&topic), || readiness.body.clone())?;
    scenario.servers.topics()?.create(&topic, BEFORE, &[])?;
    relay.wait_for_phase("streaming")?;
    for _ in 0..10 {
        writer.write(10)?;
    }
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 150 && report.duplicates == 0, || report.to_string())
}

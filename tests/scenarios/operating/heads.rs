//! Heads of the audit trail in a topic, where nobody who can rewrite the table can take them back.

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use serde_json::Value;

use super::audit::{head, tamper, verify};
use super::{admit, operate};

/// What the topic has, in its order.
fn heads(scenario: &Scenario, topic: &str) -> Outcome<Vec<Value>> {
    let records = scenario.consumer()?.read(&[topic.to_owned()])?;
    let values = records.iter().map(|record| {
        let value = record.value.as_deref().unwrap_or_default();
        serde_json::from_slice(value).map_err(Failure::from)
    });
    values.collect()
}

/// Waits until the topic has the trail's present head, and returns that.
fn newest(scenario: &Scenario, topic: &str) -> Outcome<String> {
    let expected = head(scenario)?;
    wait_for("the head in the topic", || {
        let heads = heads(scenario, topic).map_err(|failure| failure.to_string())?;
        let is_newest = heads.last().is_some_and(|newest| newest["head"] == expected.as_str());
        is_newest.then(|| expected.clone()).ok_or_else(|| format!("{heads:?}"))
    })
}

#[test]
fn the_head_in_the_topic_proves_the_trail_and_shows_that_its_end_was_rewritten() -> Outcome {
    let mut scenario = Setup::new("told_heads").start()?;
    admit(&scenario)?;
    let topic = format!("{}.heads", scenario.name());
    scenario.create_topic(&topic, 1, &[])?;
    scenario.settings.set("audit.topic", topic.as_str());
    let mut relay = scenario.streaming_relay()?;
    // What was appended before it ran, and what a command appends beside it.
    newest(&scenario, &topic)?;
    operate(&scenario, &["pause", "--reason", "a test"])?.must(0, &[])?;
    operate(&scenario, &["resume", "--reason", "a test"])?.must(0, &[])?;
    let kept = newest(&scenario, &topic)?;
    verify(&scenario, &["--head", &kept])?.must(0, &["is whole", "leads to the head that was given"])?;
    let told = heads(&scenario, &topic)?;
    let database = scenario.name();
    ensure(
        told.iter()
            .all(|head| head["database"] == database && head["system_identifier"].is_string()),
        || format!("{told:?}"),
    )?;
    relay.wait_for_figure("audit_head_notices_total{result=\"published\"}", |now| now > 1.5)?;

    let last = kept.split(':').next().unwrap_or_default();
    tamper(
        &scenario,
        &format!(
            "DELETE FROM outbox_relay.audit WHERE seq = {last};
             SELECT outbox_relay.audit_append('operation', 'x', 'x', 'x', 'x', '{{}}')"
        ),
    )?;
    verify(&scenario, &[])?.must(0, &["is whole"])?;
    verify(&scenario, &["--head", &kept])?.must_refuse("audit_trail_broken", &["written anew"])?;
    relay.wait_for_log(&format!("the audit trail was rewritten: it ended at {kept} before"))?;
    newest(&scenario, &topic)?;
    let told = heads(&scenario, &topic)?;
    ensure(told.iter().any(|head| head["head"] == kept.as_str()), || {
        format!("{told:?}")
    })
}

#[test]
fn a_topic_for_heads_that_is_missing_halts_nothing_and_gets_the_head_when_it_is_there() -> Outcome {
    let mut scenario = Setup::new("untold_heads").start()?;
    let topic = format!("{}.heads", scenario.name());
    scenario.settings.set("audit.topic", topic.as_str());
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("audit_head_notices_total{result=\"failed\"}", |now| now > 0.5)?;
    relay.wait_for_log(&format!(
        "heads of the audit trail do not reach topic {topic} (audit.topic)"
    ))?;
    relay.wait_for_phase("streaming")?;
    scenario.create_topic(&topic, 1, &[])?;
    newest(&scenario, &topic)?;
    relay.wait_for_log(&format!("heads of the audit trail reach topic {topic} again"))
}

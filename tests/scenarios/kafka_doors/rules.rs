//! What the brokers' authorizer allows: the least set is enough, and what is missing halts the line until it is there.

use outbox_relay_tests::broker_rules::{Right, Scram};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{broker_rules, log_in};
use crate::bad_input::is_halted;

const DENIED: &str = "topic_not_authorized";

#[test]
fn a_right_that_is_missing_or_taken_away_halts_the_line_and_given_back_resumes_it() -> Outcome {
    let mut scenario = Setup::new("rules").start()?;
    let (topic, other) = (scenario.topic(), format!("{}.other", scenario.name()));
    scenario.create_topic(&other, 1, &[])?;
    let principal = format!("User:{}", scenario.name());
    let mut rules = broker_rules(&scenario)?;
    rules.set_password(scenario.name(), Scram::Sha512, "secret")?;
    log_in(&mut scenario, "SCRAM-SHA-512", "secret")?;

    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    // The brokers want a right to write somewhere before they give out a producer's number.
    rules.allow(&principal, Right::Describe, &topic)?;
    let mut relay = scenario.relay()?;
    is_halted(
        &mut relay,
        "cluster_not_authorized",
        "allow the relay's principal to WRITE",
    )?;
    rules.allow_write(&principal, &topic)?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;

    let mut options = scenario.writer()?;
    (options.aggregate_type, options.topic) = ("other".to_owned(), other.clone());
    let mut others = Writer::connect(options)?;
    others.write(5)?;
    names(&mut relay, &other)?;
    rules.allow_write(&principal, &other)?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;

    let load = scenario.load()?;
    load.wait_for_more(200)?;
    scenario.note_fault()?;
    rules.revoke(&principal, &topic)?;
    names(&mut relay, &topic)?;
    load.wait_for_more(200)?;
    rules.allow_write(&principal, &topic)?;
    relay.wait_for_phase("streaming")?;
    let mut history = load.stop()?;
    history.merge(writer.into_history());
    history.merge(others.into_history());
    scenario.verify(&relay, &history).map(drop)
}

/// The fault is shown, and says which topic.
fn names(relay: &mut Relay, topic: &str) -> Outcome {
    let readiness = relay.wait_for_fault(DENIED)?;
    ensure(readiness.body.contains(&format!("topic {topic}:")), || {
        readiness.body.clone()
    })
}

//! What the relay proves itself with changes, at the brokers and in its files, and nobody restarts it.

use std::fs;

use outbox_relay_tests::broker_rules::Scram;
use outbox_relay_tests::certificates::{Authority, Identity, Subject};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

use super::{broker_rules, doors, lead_to, log_in, write};
use crate::bad_input::is_halted;

const REFUSED: &str = "kafka_authentication_failed";

/// How often the log speaks of a fault.
fn lines(relay: &Relay, code: &str) -> usize {
    relay.log().lines().filter(|line| line.contains(code)).count()
}

/// First the broker, then the file; and the other way round. The broker asks for the login anew every few seconds.
#[test]
fn a_password_that_changes_under_load_costs_nothing_but_a_pause() -> Outcome {
    let mut scenario = Setup::new("rotate_scram").start()?;
    let user = scenario.name().to_owned();
    let mut rules = broker_rules(&scenario)?;
    rules.set_password(&user, Scram::Sha256, "one")?;
    rules.allow_write(&format!("User:{user}"), &scenario.topic())?;
    log_in(&mut scenario, "SCRAM-SHA-256", "one")?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    load.wait_for_more(200)?;
    scenario.note_fault()?;

    rules.set_password(&user, Scram::Sha256, "two")?;
    is_halted(&mut relay, REFUSED, "kafka.property_files, which are read anew")?;
    write(&scenario, "kafka-password", "two")?;
    relay.wait_for_phase("streaming")?;
    load.wait_for_more(200)?;
    scenario.note_fault()?;

    let before = relay.figures()?.get("producer_rebuilds_total");
    write(&scenario, "kafka-password", "three")?;
    rules.set_password(&user, Scram::Sha256, "three")?;
    relay.wait_for_figure("producer_rebuilds_total", |rebuilds| rebuilds > before)?;
    relay.wait_for_phase("streaming")?;
    load.wait_for_more(200)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history)?;
    // One of them may have passed before it was worth a word.
    let refused = lines(&relay, REFUSED);
    ensure(refused <= 2, || format!("{refused} lines: {}", relay.log_tail()))
}

/// From a certificate that has ended to a good one, and from that to one of another name.
#[test]
fn a_client_certificate_is_replaced_while_the_relay_runs() -> Outcome {
    let mut scenario = Setup::new("rotate_cert").start()?;
    let doors = doors(&scenario)?;
    lead_to(&mut scenario, doors.tls)?;
    let authority = Authority::load(&doors.authority)?;
    let name = scenario.name().to_owned();
    let renamed = format!("{name}_b");
    let mut rules = broker_rules(&scenario)?;
    rules.allow_write(&format!("User:CN={name}"), &scenario.topic())?;
    rules.allow_write(&format!("User:CN={renamed}"), &scenario.topic())?;

    let ended = Subject {
        is_expired: true,
        ..Subject::of(&name, &[])
    };
    show(&mut scenario, &authority.sign(&ended)?)?;
    let load = scenario.load()?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "kafka_tls_failed", "the files that they name")?;
    ensure(scenario.records()?.is_empty(), || "something was sent".to_owned())?;
    show(&mut scenario, &authority.sign(&Subject::of(&name, &[]))?)?;
    relay.wait_for_phase("streaming")?;
    load.wait_for_more(200)?;
    scenario.note_fault()?;

    show(&mut scenario, &authority.sign(&Subject::of(&renamed, &[]))?)?;
    // Which of the two depends on what the producer asks for first.
    relay.may_show("topic_not_authorized");
    relay.may_show("cluster_not_authorized");
    rules.revoke(&format!("User:CN={name}"), &scenario.topic())?;
    relay.wait_for_figure("producer_rebuilds_total", |rebuilds| rebuilds >= 2.0)?;
    relay.wait_for_phase("streaming")?;
    load.wait_for_more(200)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history)?;
    let refused = lines(&relay, "kafka_tls_failed");
    ensure(refused == 1, || relay.log_tail())
}

/// Puts the relay's own certificate where its configuration says; the key first, so that the two do not fit for a moment.
fn show(scenario: &mut Scenario, identity: &Identity) -> Outcome {
    let (certificate, key) = identity.pem()?;
    for (name, property, text) in [
        ("client.key", "ssl.key.location", key),
        ("client.crt", "ssl.certificate.location", certificate),
    ] {
        let file = scenario.file(name);
        fs::write(&file, text)?;
        let path = file.display().to_string();
        scenario.settings.set(&format!("kafka.properties.\"{property}\""), path);
    }
    Ok(())
}

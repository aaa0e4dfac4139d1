//! One producer after another: what each is made of, and what is left of the one before (P3, P7).

use std::fs;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

/// The topic setting that bounds a batch.
const LIMIT: &str = "max.message.bytes";
/// The relay's property that bounds a record.
const PRODUCER_LIMIT: &str = "kafka.properties.\"message.max.bytes\"";
const TOO_LARGE: &str = "publish_failures_total{error_type=\"record_too_large\"}";

/// Finding which record of a batch is refused takes another producer, and with it the secrets once more.
#[test]
fn a_secret_file_that_is_gone_halts_the_line_and_putting_it_back_resumes() -> Outcome {
    let mut scenario = Setup::new("secret_gone")
        .partitions(1)
        .topic_config(LIMIT, "20000")
        .start()?;
    let secret = with_property_file(&mut scenario, "ssl.key.password", "secret")?;
    let mut relay = scenario.streaming_relay()?;
    fs::remove_file(&secret)?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert(10)?;
    writer.insert_payloads(vec!["x".repeat(50_000), noise(50_000)])?;
    writer.insert(10)?;
    writer.commit()?;
    let readiness = relay.wait_for_fault("kafka_secret_unreadable")?;
    ensure(readiness.status == 503 && readiness.phase() == "halted", || {
        format!("{readiness:?}")
    })?;
    fs::write(&secret, "secret")?;
    // What is named is what has to be mended now, and then what had stopped the line before.
    let readiness = relay.wait_for_fault("record_too_large")?;
    ensure(!readiness.has("kafka_secret_unreadable"), || format!("{readiness:?}"))?;
    fs::remove_file(&secret)?;
    let readiness = relay.wait_for_fault("kafka_secret_unreadable")?;
    ensure(!readiness.has("record_too_large"), || format!("{readiness:?}"))?;
    raise_limit(&scenario)?;
    fs::write(&secret, "secret")?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_property_file_with_nonsense_halts_the_line_without_showing_it_and_correcting_it_resumes() -> Outcome {
    let mut scenario = Setup::new("secret_nonsense").without_topic().start()?;
    let secret = with_property_file(&mut scenario, "linger.ms", "1")?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    relay.wait_for_fault("topic_missing")?;
    fs::write(&secret, "hunter2")?;
    let readiness = relay.wait_for_fault("kafka_configuration_refused")?;
    let shown = format!("{readiness:?} {}", relay.log());
    ensure(shown.contains("linger.ms") && !shown.contains("hunter2"), || shown)?;
    scenario.create_topic(&scenario.topic(), 3, &[])?;
    fs::write(&secret, "1")?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// The producer itself says no, so no delivery report does.
#[test]
fn a_record_that_the_producer_does_not_take_is_counted_once_and_says_what_to_restart_with() -> Outcome {
    let mut scenario = Setup::new("producer_limit").set(PRODUCER_LIMIT, 100_000).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert_payloads(vec![noise(150_000)])?;
    writer.commit()?;
    let readiness = relay.wait_for_fault("record_too_large")?;
    let is_said = |said: &&str| readiness.body.contains(said);
    ensure([PRODUCER_LIMIT, "restart"].iter().all(is_said), || {
        format!("{readiness:?}")
    })?;
    let counted = relay.figures()?.count(TOO_LARGE);
    ensure(counted == 1, || format!("{counted} failures were counted"))?;
    relay.terminate()?;
    scenario.settings.set(PRODUCER_LIMIT, 200_000);
    let relay = scenario.relay()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn producers_that_were_given_up_leave_no_thread_behind() -> Outcome {
    let mut scenario = Setup::new("threads").without_topic().start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    relay.wait_for_fault("topic_missing")?;
    relay.wait_for_figure("producer_rebuilds_total", |rebuilds| rebuilds >= 2.0)?;
    scenario.create_topic(&scenario.topic(), 3, &[])?;
    relay.wait_for_phase("streaming")?;
    wait_for("one thread kafka-ask", || match relay.threads("kafka-ask") {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn what_librdkafka_says_is_in_the_log_for_those_who_ask() -> Outcome {
    let mut scenario = Setup::new("librdkafka_log")
        .set("log.filter", "info,outbox_relay::librdkafka=debug")
        .set("kafka.properties.debug", "topic")
        .start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    relay.wait_for_log("facility=\"PARTCNT\"")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// A property that is read from a file; the relays that start from now on do so.
fn with_property_file(scenario: &mut Scenario, name: &str, value: &str) -> Outcome<std::path::PathBuf> {
    let file = scenario.file("property");
    fs::write(&file, value)?;
    let key = format!("kafka.property_files.\"{name}\"");
    scenario.settings.set(&key, file.display().to_string());
    Ok(file)
}

fn raise_limit(scenario: &Scenario) -> Outcome {
    let topics = scenario.servers.topics()?;
    Ok(topics.alter(&scenario.topic(), &[(LIMIT, "1000000")])?)
}

/// Text that does not become much smaller when it is compressed.
fn noise(bytes: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect()
}

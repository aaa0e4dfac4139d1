//! A producer that is beyond repair: the relay makes another one and loses nothing (P1, P3).
//!
//! No real broker gives these errors when asked to, so the brokers are librdkafka's own mock of them; the relay and
//! `PostgreSQL` are real.

use outbox_relay::fault::policy::{ErrorName, POLICY};
use outbox_relay_tests::consumer::Consumer;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::verifier::{Evidence, verify};
use outbox_relay_tests::writer::Writer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

type Brokers = MockCluster<'static, DefaultProducerContext>;

const ERRORS: usize = 3;

fn start(label: &str) -> Outcome<(Scenario, Brokers)> {
    let mut scenario = Setup::new(label).without_topic().start()?;
    let brokers = MockCluster::new(1)?;
    brokers.create_topic(&scenario.topic(), 3, 1)?;
    scenario
        .settings
        .set("kafka.bootstrap_servers", brokers.bootstrap_servers());
    Ok((scenario, brokers))
}

/// Everything is confirmed, and in the mock once and in order.
fn arrived(scenario: &Scenario, brokers: &Brokers, history: &History, rebuilds: usize) -> Outcome {
    scenario.wait_until_confirmed()?;
    let records = Consumer::new(&brokers.bootstrap_servers())?.read(&[scenario.topic()])?;
    let report = verify(Evidence {
        history: Some(history),
        records: &records,
        rebuilds,
        ..Evidence::default()
    });
    report.accept()?;
    ensure(report.rows > 0 && report.duplicates == 0, || report.to_string())
}

/// The producer never gets an id, so nothing is sent and no delivery report can tell.
#[test]
fn a_fatal_error_without_any_record_in_flight_is_followed_by_a_producer_that_works() -> Outcome {
    let (mut scenario, brokers) = start("fatal_idle")?;
    refuse_ids(&brokers);
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("cluster_not_authorized")?;
    relay.wait_for_phase("streaming")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(100)?;
    arrived(&scenario, &brokers, &writer.into_history(), 0)
}

#[test]
fn a_fatal_error_with_records_waiting_is_followed_by_a_producer_that_sends_them() -> Outcome {
    let (mut scenario, brokers) = start("fatal_backlog")?;
    refuse_ids(&brokers);
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..10 {
        writer.write(100)?;
    }
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("cluster_not_authorized")?;
    relay.wait_for_phase("streaming")?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    arrived(&scenario, &brokers, &writer.into_history(), rebuilds)
}

fn refuse_ids(brokers: &Brokers) {
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    brokers.request_errors(RDKafkaApiKey::InitProducerId, &[refused; ERRORS]);
}

/// The broker has lost count of the producer's batches, under load.
#[test]
fn a_producer_whose_sequence_is_refused_is_replaced_and_nothing_is_lost() -> Outcome {
    let (mut scenario, brokers) = start("fatal_sequence")?;
    // The mock checks no sequence numbers, so that it would take a batch behind the refused one, as no broker does.
    scenario.settings.set("kafka.properties.\"max.in.flight\"", 1);
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for _ in 0..ERRORS {
        load.wait_for_more(300)?;
        let rebuilds = relay.figures()?.get("producer_rebuilds_total");
        let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        brokers.request_errors(RDKafkaApiKey::Produce, &[refused]);
        relay.wait_for_figure("producer_rebuilds_total", |now| now > rebuilds)?;
        relay.wait_for_phase("streaming")?;
    }
    let history = load.stop()?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    arrived(&scenario, &brokers, &history, rebuilds)
}

/// Whatever a broker says: what nobody has listed is tried again, what a person has to mend halts, and in both cases it goes
/// on by itself.
#[test]
fn an_error_without_a_row_of_its_own_is_tried_again_until_it_passes() -> Outcome {
    refused_and_resent(
        "unlisted",
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_REQUEST,
        "delivery_failed",
    )
}

#[test]
fn brokers_that_cannot_do_what_the_relay_needs_are_named() -> Outcome {
    refused_and_resent(
        "too_old",
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
        "kafka_unsupported",
    )
}

fn refused_and_resent(label: &str, error: RDKafkaRespErr, code: &str) -> Outcome {
    let (mut scenario, brokers) = start(label)?;
    let mut relay = scenario.streaming_relay()?;
    brokers.request_errors(RDKafkaApiKey::Produce, &[error; ERRORS]);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(1)?;
    relay.wait_for_fault(code)?;
    relay.wait_for_phase("streaming")?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    arrived(&scenario, &brokers, &writer.into_history(), rebuilds)
}

/// Every answer of a broker that has a row in the policy, given by the mock: each is counted under its fault, and the
/// relay goes on by itself. What librdkafka finds out without an answer is provoked elsewhere, on real brokers.
#[test]
fn every_answer_of_a_broker_is_the_fault_that_the_policy_says_and_passes() -> Outcome {
    let (mut scenario, brokers) = start("answers")?;
    scenario.settings.set("retry.attempts", 1);
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let answers = POLICY
        .iter()
        .flat_map(|(code, errors)| errors.iter().map(move |error| (code, error)));
    let mut given = 0;
    for (code, error) in answers {
        let ErrorName::Kafka(answer) = error else { continue };
        let number = *answer as i32;
        // Negative ones are librdkafka's own. It asks again by itself where a topic has gone that was there, and a login
        // is refused to a connection and not to records.
        let is_no_answer = matches!(
            answer,
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::SaslAuthenticationFailed
        );
        if number < 0 || is_no_answer {
            continue;
        }
        let name = code.name();
        let counter = format!("publish_failures_total{{error_type=\"{name}\"}}");
        let before = relay.figures()?.get(&counter);
        brokers.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::try_from(number)?; ERRORS]);
        writer.write(1)?;
        let readiness = relay.wait_for_fault(name)?;
        // Each of them needs somebody; what passes by itself has no row.
        ensure(readiness.phase() == "halted", || {
            format!("{answer:?}: {}", readiness.body)
        })?;
        relay.wait_for_figure(&counter, |now| now > before)?;
        relay.wait_for_phase("streaming")?;
        given += 1;
    }
    ensure(given >= 13, || format!("only {given} answers were given"))?;
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    arrived(&scenario, &brokers, &writer.into_history(), rebuilds)
}

/// What passes by itself shows nowhere; the refusal behind it shows that it was given.
#[test]
fn what_a_broker_may_answer_while_leaders_and_replicas_change_loses_and_reorders_nothing() -> Outcome {
    use RDKafkaRespErr as Answer;
    let passing = [
        Answer::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Answer::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        Answer::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        Answer::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        Answer::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
        Answer::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    ];
    let refusal = Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let (mut scenario, brokers) = start("passing")?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let refused = "publish_failures_total{error_type=\"topic_not_authorized\"}";
    for answer in passing {
        let before = relay.figures()?.get(refused);
        brokers.request_errors(RDKafkaApiKey::Produce, &[answer, answer, refusal]);
        for _ in 0..5 {
            writer.write(10)?;
        }
        relay.wait_for_figure(refused, |now| now > before)?;
        scenario.wait_until_confirmed()?;
        relay.wait_for_phase("streaming")?;
    }
    let rebuilds = relay.figures()?.count("producer_rebuilds_total");
    arrived(&scenario, &brokers, &writer.into_history(), rebuilds)
}

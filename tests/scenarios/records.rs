//! What a consumer sees: topic, key, headers, timestamp and value.

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::table::TableShape;
use outbox_relay_tests::writer::{Writer, WriterOptions};

/// Odd on purpose: spaces, a repeated member, an escape, a number that no parser would print the same way.
const PAYLOAD: &str = "{ \"b\":1.50,  \"a\" : \"\\u00e9 é 🎉\",\"b\": 1e2 }";

#[test]
fn a_record_carries_topic_key_headers_timestamp_and_the_payload_byte_for_byte() -> Outcome {
    let setup = Setup::new("record").topic("ringiflow.{aggregate_type}.events", "form-{name}");
    let mut scenario = setup
        .set("outbox.default.metadata_headers", vec!["traceparent", "tenant"])
        .start()?;
    let _relay = scenario.streaming_relay()?;
    let aggregate_type = scenario.aggregate_type().to_owned();
    let database = scenario.database()?;
    database.rows(
        "INSERT INTO public.outbox
             (id, aggregate_type, aggregate_id, event_type, payload, metadata, version, created_at)
         VALUES ('0190c0de-0000-7000-8000-000000000001', $1, 'form 1 🎉', 'Submitted', $2::text::json,
             '{\"tenant\": 7, \"traceparent\": \"00-a-b-01\", \"secret\": \"no\"}', 42, '2026-02-03 04:05:06.789+00')",
        &[&aggregate_type, &PAYLOAD],
    )?;
    scenario.wait_until_confirmed()?;
    let record = only(scenario.records()?)?;
    ensure(record.topic == format!("ringiflow.{aggregate_type}.events"), || {
        format!("{record:?}")
    })?;
    ensure(record.key.as_deref() == Some("form 1 🎉".as_bytes()), || {
        format!("{record:?}")
    })?;
    ensure(record.value.as_deref() == Some(PAYLOAD.as_bytes()), || {
        format!("{record:?}")
    })?;
    ensure(record.timestamp_ms == Some(1_770_091_506_789), || format!("{record:?}"))?;
    for (header, value) in [
        ("id", "0190c0de-0000-7000-8000-000000000001"),
        ("aggregate_type", &aggregate_type),
        ("event_type", "Submitted"),
        ("version", "42"),
        ("traceparent", "00-a-b-01"),
        ("tenant", "7"),
    ] {
        ensure(record.header(header) == Some(value), || {
            format!("header {header}: {record:?}")
        })?;
    }
    let headers = record.headers.len();
    ensure(headers == 7 && record.header("position").is_some(), || {
        format!("{headers} headers: {record:?}")
    })
}

#[test]
fn the_debezium_preset_publishes_the_table_of_its_event_router() -> Outcome {
    let sql = "CREATE TABLE public.outbox (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL,
               aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb)";
    let mut scenario = Setup::new("debezium")
        .sql(sql)
        .set("outbox.default.preset", "debezium")
        .start()?;
    let relay = scenario.streaming_relay()?;
    let options = WriterOptions {
        shape: TableShape::DEBEZIUM,
        ..scenario.writer()?
    };
    let mut writer = Writer::connect(options)?;
    writer.write(20)?;
    scenario.verify(&relay, &writer.into_history())?;
    let records = scenario.records()?;
    let typed = records
        .iter()
        .all(|record| record.header("event_type") == Some("happened"));
    ensure(typed, || format!("{:?}", records.first()))
}

#[test]
fn the_record_key_chooses_the_partition_that_java_producers_choose() -> Outcome {
    let mut scenario = Setup::new("murmur").partitions(7).start()?;
    let relay = scenario.streaming_relay()?;
    // murmur2 of the key, without its sign bit, modulo 7: from Kafka's own `Utils.murmur2`.
    let golden = [("21", 3), ("foobar", 0), ("a-little-bit-long-string", 1)];
    let keys = golden.iter().map(|(key, _)| (*key).to_owned()).collect();
    let options = WriterOptions {
        keys,
        ..scenario.writer()?
    };
    let mut writer = Writer::connect(options)?;
    writer.write(golden.len())?;
    scenario.verify(&relay, &writer.into_history())?;
    for record in scenario.records()? {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let expected = golden
            .iter()
            .find(|(golden, _)| *golden == key)
            .map(|(_, partition)| *partition);
        ensure(Some(record.partition) == expected, || {
            format!("{key} is in partition {}", record.partition)
        })?;
    }
    Ok(())
}

fn only(records: Vec<Record>) -> Outcome<Record> {
    let [record]: [Record; 1] = records
        .try_into()
        .map_err(|records| Failure::new(format!("not one record: {records:?}")))?;
    Ok(record)
}

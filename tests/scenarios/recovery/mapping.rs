//! What is read from the table becomes the record that the stream would have made of it.

use std::collections::BTreeMap;

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

use super::recovered;

/// A domain over a domain, an enum, numbers, a type without a binary form, names that need quotes, a time without a zone.
const TABLE: &str = r#"
    CREATE DOMAIN public.name AS text;
    CREATE DOMAIN public.aggregate AS public.name CHECK (VALUE <> '');
    CREATE TYPE public.kind AS ENUM ('placed', 'größer');
    CREATE TABLE public.outbox (
        dropped text, "Schlüssel" bigint PRIMARY KEY, aggregate_type public.aggregate NOT NULL, "order" integer,
        event_type public.kind, payload jsonb, note text, metadata jsonb, version smallint, created_at timestamp,
        only_text aclitem);
    ALTER TABLE public.outbox DROP COLUMN dropped"#;

const ROWS: &str = r#"
    INSERT INTO public.outbox ("Schlüssel", aggregate_type, "order", event_type, payload, metadata, version, created_at) VALUES
        (1, 'order', 7, 'placed', '{"b": [1, "ü"], "a": null}', '{"tenant_id": "t1", "n": 5}', 3, clock_timestamp() AT TIME ZONE 'UTC'),
        (2, 'order', NULL, 'größer', NULL, NULL, NULL, clock_timestamp() AT TIME ZONE 'UTC'),
        (-9223372036854775808, 'order', -1, NULL, '"text"', '{"tenant_id": null}', -1, '2026-01-01 00:00:00.5'),
        (4, 'order', 2147483647, 'placed', '{}', '[]', 0, NULL)"#;

#[test]
fn a_replayed_record_is_the_one_that_the_stream_would_have_made_of_its_row() -> Outcome {
    let setup = Setup::new("rec_mapping").sql(TABLE).partitions(1);
    let setup = setup
        .set("outbox.default.columns.id", "Schlüssel")
        .set("outbox.default.columns.aggregate_id", "order")
        .set("outbox.default.metadata_headers", vec!["tenant_id", "n"]);
    let mut scenario = setup.start()?;
    let mut relay = scenario.streaming_relay()?;
    scenario.database()?.run(ROWS)?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let streamed = by_id(scenario.records()?)?;
    ensure(streamed.len() == 4, || format!("{streamed:?}"))?;

    // To topics that have none of them.
    let other = format!("{}.again", scenario.name());
    scenario.create_topic(&format!("{other}.order"), 1, &[])?;
    scenario
        .settings
        .set("outbox.default.topic", format!("{other}.{{aggregate_type}}"));
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &[])?;
    let ended = recovered(&scenario, &["--since", "2000-01-01"])?;
    ended.must(0, &["4 of 4 rows", "1 have no created_at and are looked for too"])?;
    let replayed: Vec<Record> = scenario
        .records()?
        .into_iter()
        .filter(|record| record.topic.starts_with(&other))
        .collect();
    let order: Vec<_> = replayed.iter().filter_map(|record| record.header("id")).collect();
    ensure(order == ["-9223372036854775808", "1", "2", "4"], || {
        format!("in the order {order:?}")
    })?;
    for (id, record) in by_id(replayed.clone())? {
        is_the_same(&record, streamed.get(&id).ok_or_else(|| Failure::new(id))?)?;
    }
    Ok(())
}

fn by_id(records: Vec<Record>) -> Outcome<BTreeMap<String, Record>> {
    let named = records.into_iter().map(|record| {
        let id = record.header("id").map(str::to_owned);
        Ok((id.ok_or_else(|| Failure::new("no id"))?, record))
    });
    named.collect()
}

fn is_the_same(replayed: &Record, streamed: &Record) -> Outcome {
    let is_own = |name: &str| matches!(name, "position" | "replay" | "occurred_at");
    let others = |record: &Record| -> Vec<_> {
        let headers = record.headers.iter().filter(|(name, _)| !is_own(name));
        headers.cloned().collect()
    };
    let is_same =
        (&replayed.key, &replayed.value, others(replayed)) == (&streamed.key, &streamed.value, others(streamed));
    ensure(is_same, || format!("{replayed:?} instead of {streamed:?}"))?;
    let occurred_at = replayed.header("occurred_at").and_then(|at| at.parse::<i64>().ok());
    // The fourth has none: what the stream takes in its place, the time of the commit, is not in the table.
    let is_expected = if replayed.header("id") == Some("4") {
        None
    } else {
        streamed.timestamp_ms
    };
    ensure(occurred_at == is_expected, || {
        format!("{occurred_at:?} instead of {is_expected:?}")
    })
}

/// The publication's own condition, which is the operator's: a row that it leaves out is another relay's.
#[test]
fn rows_that_the_publication_leaves_out_are_left_out_by_the_recovery_too() -> Outcome {
    let scenario = Setup::new("rec_filter")
        .private_postgres(&[])
        .postgres_version(16)
        .without_slot()
        .start()?;
    let name = scenario.name();
    scenario.database()?.run(&format!(
        "ALTER PUBLICATION {name} SET TABLE public.outbox WHERE (aggregate_id <> '3');
         INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', n::text, 'happened', '{{}}' FROM generate_series(1, 5) AS n"
    ))?;
    recovered(&scenario, &["--since", "2000-01-01"])?.must(0, &["4 of 4 rows"])?;
    keys_are(&scenario, &["1", "2", "4", "5"])
}

/// Dead letters and events that are to be skipped are not published as if nobody had decided about them.
#[test]
fn events_that_somebody_has_decided_about_are_left_out() -> Outcome {
    let scenario = Setup::new("rec_decided").without_slot().start()?;
    let name = scenario.name();
    let id = |n: u32| format!("00000000-0000-4000-8000-00000000000{n}");
    let (letter, skipped, named) = (id(1), id(2), id(3));
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'order', n::text, 'happened', '{{}}'
         FROM generate_series(1, 5) AS n;
         INSERT INTO outbox_relay.dead_letters (slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox,
             idempotency_key, headers, occurred_at, error_type, error_message, attempts, attempts_max, first_failed_at,
             last_failed_at, parks_key, state)
         VALUES ('{name}', '1', '0/1', 0, 1, now(), 'default', '{letter}', '[]', now(), 'record_too_large', '', 1, 1, now(),
             now(), true, 'failed');
         INSERT INTO outbox_relay.skips (slot_name, idempotency_key, why) VALUES ('{name}', '{skipped}', 'a test')"
    ))?;
    let ended = recovered(&scenario, &["--since", "2000-01-01", "--leave-out", &named])?;
    ended.must(0, &["2 of 5 rows; Kafka had 0, left out were 3"])?;
    keys_are(&scenario, &["4", "5"])
}

fn keys_are(scenario: &Scenario, expected: &[&str]) -> Outcome {
    let records = scenario.records()?;
    let mut keys: Vec<String> = records
        .iter()
        .map(|record| String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned())
        .collect();
    keys.sort_unstable();
    ensure(keys == expected, || format!("{keys:?} instead of {expected:?}"))
}

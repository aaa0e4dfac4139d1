//! Outbox tables of every shape, and shapes that change.

use std::collections::{BTreeMap, BTreeSet};

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::load::{Load, Rate};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::table::TableShape;
use outbox_relay_tests::writer::{Writer, WriterOptions};

pub(crate) const COLUMNS: &str = "id uuid PRIMARY KEY, aggregate_type text NOT NULL, aggregate_id text NOT NULL,
    event_type text NOT NULL, payload json NOT NULL";

/// One of the partitions has its columns in another order, as partitions that were attached later may have.
#[test]
fn rows_of_a_partitioned_outbox_arrive_from_every_partition() -> Outcome {
    let sql = format!(
        "CREATE TABLE public.outbox ({COLUMNS}) PARTITION BY HASH (id);
         CREATE TABLE public.outbox_0 PARTITION OF public.outbox FOR VALUES WITH (MODULUS 3, REMAINDER 0);
         CREATE TABLE public.outbox_1 PARTITION OF public.outbox FOR VALUES WITH (MODULUS 3, REMAINDER 1);
         CREATE TABLE public.outbox_2 (payload json NOT NULL, event_type text NOT NULL, aggregate_id text NOT NULL,
             id uuid PRIMARY KEY, aggregate_type text NOT NULL);
         ALTER TABLE public.outbox ATTACH PARTITION public.outbox_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2)"
    );
    let mut scenario = Setup::new("partitioned").sql(&sql).start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..20 {
        writer.write(10)?;
    }
    let used = scenario
        .database()?
        .text("SELECT count(DISTINCT tableoid)::text FROM public.outbox", &[])?;
    ensure(used.as_deref() == Some("3"), || {
        format!("{used:?} partitions have rows")
    })?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn columns_that_come_and_go_in_mid_stream_change_nothing() -> Outcome {
    let mut scenario = Setup::new("columns").start()?;
    let relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let database = scenario.database()?;
    for change in [
        "ADD COLUMN note text DEFAULT 'ä'",
        "ADD COLUMN count integer",
        "DROP COLUMN version",
        "DROP COLUMN note",
        "ALTER COLUMN aggregate_id TYPE varchar(100)",
    ] {
        load.wait_for_more(100)?;
        database.run(&format!("ALTER TABLE public.outbox {change}"))?;
    }
    load.wait_for_more(100)?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || {
        format!("a new column repeated records: {report}")
    })
}

#[test]
fn a_column_added_inside_a_transaction_with_rows_changes_nothing() -> Outcome {
    let mut scenario = Setup::new("ddl").start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert(5)?;
    writer.run("ALTER TABLE public.outbox ADD COLUMN note text")?;
    writer.insert(5)?;
    writer.run("ALTER TABLE public.outbox DROP COLUMN metadata")?;
    writer.insert(5)?;
    writer.commit()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn names_that_are_not_ascii_work() -> Outcome {
    let sql = r#"
        CREATE SCHEMA "Verkäufe";
        CREATE TABLE "Verkäufe"."Ausgangs „Korb“" (
            "Schlüssel" uuid PRIMARY KEY, "тип" text NOT NULL, "集約" text NOT NULL,
            "événement 🎉" text NOT NULL, "naïve payload" json NOT NULL)"#;
    let shape = TableShape {
        table: r#""Verkäufe"."Ausgangs „Korb“""#,
        id: Some(r#""Schlüssel""#),
        aggregate_type: r#""тип""#,
        aggregate_id: r#""集約""#,
        event_type: r#""événement 🎉""#,
        payload: r#""naïve payload""#,
        payload_type: "json",
    };
    let mut scenario = Setup::new("names")
        .sql(sql)
        .set("outbox.default.schema", "Verkäufe")
        .set("outbox.default.table", "Ausgangs „Korb“")
        .set("outbox.default.columns.id", "Schlüssel")
        .set("outbox.default.columns.aggregate_type", "тип")
        .set("outbox.default.columns.aggregate_id", "集約")
        .set("outbox.default.columns.event_type", "événement 🎉")
        .set("outbox.default.columns.payload", "naïve payload")
        .start()?;
    let relay = scenario.streaming_relay()?;
    let options = WriterOptions {
        shape,
        filler: "größer als 🎉".to_owned(),
        keys: vec!["schlüssel 1".to_owned(), "ключ 2".to_owned()],
        ..scenario.writer()?
    };
    let mut writer = Writer::connect(options)?;
    writer.write(20)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20, || report.to_string())
}

/// Without an id the key is made of the row's position: the same one when the row is published again.
#[test]
fn rows_without_an_id_have_keys_that_stay_the_same_over_restarts() -> Outcome {
    let sql = COLUMNS.replace("id uuid PRIMARY KEY, ", "");
    let mut scenario = Setup::new("no_id")
        .sql(&format!("CREATE TABLE public.outbox ({sql})"))
        .set("outbox.default.columns.id", "")
        .start()?;
    let options = WriterOptions {
        shape: TableShape {
            id: None,
            ..TableShape::STANDARD
        },
        ..scenario.writer()?
    };
    let rate = Rate {
        rows: 5,
        transactions: 100,
    };
    let load = Load::start(vec![options], rate)?;
    // Until a kill has hit something that is then repeated.
    for _ in 0..20 {
        let mut relay = scenario.streaming_relay()?;
        relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 200.0)?;
        relay.kill()?;
        if scenario.records()?.len() > load.committed() {
            break;
        }
    }
    let _relay = scenario.streaming_relay()?;
    let history = load.stop()?;
    scenario.wait_until_confirmed()?;

    let records = scenario.records()?;
    let mut keys: BTreeMap<&[u8], BTreeSet<&str>> = BTreeMap::new();
    for record in &records {
        let key = record
            .header("id")
            .ok_or_else(|| Failure::new(format!("no id: {record:?}")))?;
        keys.entry(record.value.as_deref().unwrap_or_default())
            .or_default()
            .insert(key);
    }
    let written: BTreeSet<&[u8]> = history.committed.iter().map(|row| row.payload.as_bytes()).collect();
    ensure(keys.keys().copied().collect::<BTreeSet<_>>() == written, || {
        "lost or phantom rows".to_owned()
    })?;
    ensure(records.len() > keys.len(), || "nothing was repeated".to_owned())?;
    ensure(keys.values().all(|keys| keys.len() == 1), || {
        "a row changed its key".to_owned()
    })?;
    let distinct: BTreeSet<_> = keys.values().flatten().collect();
    ensure(distinct.len() == keys.len(), || "two rows share a key".to_owned())
}

/// One slot, one publication, one relay: each table is read by its own columns and goes to its own topic.
#[test]
fn two_outboxes_of_different_shape_share_a_slot() -> Outcome {
    let sql = "CREATE TABLE public.outboxevent (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL,
               aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb)";
    let mut scenario = Setup::new("two").sql(sql).without_migration().start()?;
    let topic = format!("{}.legacy", scenario.name());
    scenario.settings.set("outbox.legacy.table", "outboxevent");
    scenario.settings.set("outbox.legacy.preset", "debezium");
    scenario.settings.set("outbox.legacy.topic", topic.as_str());
    scenario.migrate()?;
    scenario.create_topic(&topic, 3, &[])?;
    scenario.create_slot()?;
    let legacy = WriterOptions {
        shape: TableShape {
            table: "public.outboxevent",
            ..TableShape::DEBEZIUM
        },
        topic,
        ..scenario.writer()?
    };
    let rate = Rate {
        rows: 5,
        transactions: 100,
    };
    let load = Load::start(vec![scenario.writer()?, legacy], rate)?;
    let relay = scenario.streaming_relay()?;
    load.wait_for_more(1_000)?;
    let history = load.stop()?;
    let topics: BTreeSet<_> = history.committed.iter().map(|row| &row.topic).collect();
    ensure(topics.len() == 2, || format!("rows of both outboxes: {topics:?}"))?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || report.to_string())
}

#[test]
fn rows_of_an_outbox_without_an_aggregate_id_arrive_without_a_key() -> Outcome {
    let mut scenario = Setup::new("no_key")
        .sql(&format!("CREATE TABLE public.outbox ({COLUMNS})"))
        .set("outbox.default.columns.aggregate_id", "")
        .start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..20 {
        writer.write(10)?;
    }
    scenario.wait_until_confirmed()?;
    let lines = relay.unexpected_lines();
    ensure(lines.is_empty(), || format!("unexpected in the log: {lines:?}"))?;
    let records = scenario.records()?;
    let keyed = records.iter().find(|record| record.key.is_some());
    ensure(keyed.is_none(), || format!("a key: {keyed:?}"))?;
    let history = writer.into_history();
    let mut written: Vec<_> = history
        .committed
        .iter()
        .map(|row| (row.id.as_str(), row.payload.as_bytes()))
        .collect();
    let mut arrived: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record.header("id").unwrap_or_default(),
                record.value.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    written.sort_unstable();
    arrived.sort_unstable();
    ensure(arrived == written, || {
        format!(
            "{} rows, {} records, or others than were written",
            written.len(),
            arrived.len()
        )
    })
}

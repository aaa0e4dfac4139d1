//! Partitions of days that are over are dropped, and only those.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{are_left, purge_all, settle, told};

/// Two days that are over, and one that is not for a long time.
const DAILY: &str = "
    CREATE TABLE public.outbox (id uuid NOT NULL, aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        event_type text NOT NULL, payload json NOT NULL, created_at timestamptz NOT NULL DEFAULT now())
        PARTITION BY RANGE (created_at);
    CREATE TABLE public.outbox_first PARTITION OF public.outbox FOR VALUES FROM ('2024-01-01 00:00Z') TO ('2024-01-02 00:00Z');
    CREATE TABLE public.outbox_second PARTITION OF public.outbox FOR VALUES FROM ('2024-01-02 00:00Z') TO ('2024-01-03 00:00Z');
    CREATE TABLE public.outbox_now PARTITION OF public.outbox FOR VALUES FROM ('2024-01-03 00:00Z') TO ('2200-01-01 00:00Z')";

/// Rows of a day, `writer`'s others are of now.
fn at(scenario: &Scenario, time: &str) -> Outcome {
    let default = format!("ALTER TABLE public.outbox ALTER COLUMN created_at SET DEFAULT {time}");
    scenario.database()?.run(&default)
}

fn partitions(scenario: &Scenario) -> Outcome<String> {
    let names =
        "SELECT string_agg(relid::text, ' ' ORDER BY relid::text) FROM pg_partition_tree('public.outbox') WHERE isleaf";
    Ok(scenario.database()?.text(names, &[])?.unwrap_or_default())
}

#[test]
fn a_day_that_is_over_and_published_is_dropped_whole_and_later_rows_go_one_by_one() -> Outcome {
    let mut scenario = Setup::new("daily").sql(DAILY).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    at(&scenario, "'2024-01-01 12:00Z'")?;
    writer.write(30)?;
    at(&scenario, "now()")?;
    writer.write(10)?;
    settle(&scenario)?;
    relay.terminate()?;
    at(&scenario, "'2024-01-02 12:00Z'")?;
    writer.write(20)?;
    at(&scenario, "now()")?;
    // The first day is published, the second is not.
    let database = scenario.database()?;
    ensure(partitions(&scenario)?.split(' ').count() == 3, || {
        "not three".to_owned()
    })?;
    purge_all(&scenario)?.must(0, &["nothing"])?;
    let relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    database.run("BEGIN; SELECT FROM public.outbox_second LIMIT 1")?;
    purge_all(&scenario)?.must(0, &["60 rows removed, not archived, 1 partition dropped"])?;
    // Somebody read the second: its rows went one by one, and it goes now that it is empty.
    database.run("COMMIT")?;
    ensure(partitions(&scenario)? == "outbox_now outbox_second", || {
        "another one was dropped".to_owned()
    })?;
    settle(&scenario)?;
    writer.write(5)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["5 rows removed, not archived, 1 partition dropped"])?;
    ensure(partitions(&scenario)? == "outbox_now", || {
        "another one was dropped".to_owned()
    })?;
    ensure(told(&scenario)? == 65, || "the audit trail tells of others".to_owned())?;
    writer.write(5)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_day_with_a_row_that_is_not_confirmed_is_not_dropped() -> Outcome {
    let mut scenario = Setup::new("late").sql(DAILY).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    at(&scenario, "'2024-01-01 12:00Z'")?;
    writer.write(10)?;
    settle(&scenario)?;
    scenario
        .database()?
        .rows("SELECT outbox_relay.retention_mark($1, '0', '0')", &[&scenario.name()])?;
    settle(&scenario)?;
    relay.terminate()?;
    writer.write(1)?;
    // The other day has no rows at all.
    purge_all(&scenario)?.must(0, &["10 rows removed, not archived, 1 partition dropped"])?;
    are_left(&scenario, 1)?;
    ensure(partitions(&scenario)? == "outbox_first outbox_now", || {
        "it was dropped".to_owned()
    })?;
    let relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// Their range is not one of time, or it has no time zone and may still go on somewhere.
#[test]
fn only_ranges_over_a_point_in_time_that_is_over_everywhere_count_as_ended() -> Outcome {
    let scenario = Setup::new("bounds").without_slot().start()?;
    let database = scenario.database()?;
    database.run(
        "CREATE TABLE public.by_hash (at timestamptz) PARTITION BY HASH (at);
         CREATE TABLE public.hash PARTITION OF public.by_hash FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         CREATE TABLE public.by_number (n bigint) PARTITION BY RANGE (n);
         CREATE TABLE public.number PARTITION OF public.by_number FOR VALUES FROM (1) TO (2);
         CREATE TABLE public.by_two (at date, n int) PARTITION BY RANGE (at, n);
         CREATE TABLE public.two PARTITION OF public.by_two FOR VALUES FROM ('2024-01-01', 1) TO ('2024-01-02', 1);
         CREATE TABLE public.by_day (at date) PARTITION BY RANGE (at);
         CREATE TABLE public.day PARTITION OF public.by_day FOR VALUES FROM (MINVALUE) TO ('2024-01-02');
         CREATE TABLE public.last PARTITION OF public.by_day FOR VALUES FROM ('2024-01-02') TO (MAXVALUE);
         CREATE TABLE public.by_time (at timestamptz) PARTITION BY RANGE (at);
         CREATE TABLE public.time PARTITION OF public.by_time FOR VALUES FROM ('2024-01-01 00:00+02') TO ('2024-01-02 00:00+02');
         CREATE TABLE public.rest PARTITION OF public.by_time DEFAULT",
    )?;
    for (partition, ends) in [
        ("hash", None),
        ("number", None),
        ("two", None),
        ("last", None),
        ("rest", None),
        ("by_time", None),
        ("day", Some("2024-01-03 00:00:00+00")),
        ("time", Some("2024-01-01 22:00:00+00")),
    ] {
        let end = format!("SELECT outbox_relay.retention_partition_end('public.{partition}'::regclass)::text");
        database.run("SET timezone = 'UTC'")?;
        let found = database.text(&end, &[])?;
        ensure(found.as_deref() == ends, || format!("{partition} ends at {found:?}"))?;
    }
    Ok(())
}

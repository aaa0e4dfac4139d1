//! Bounds on size: memory, and the WAL that is kept for the slot (P6, P7).

use outbox_relay_tests::campaign::CASES;
use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

const ROWS: usize = 1_000_000;
/// The budget is 16 MiB.
const BUDGET_NEARLY_FULL_BYTES: f64 = 15.0 * 1024.0 * 1024.0;
const MEMORY_MAX_KIB: u64 = 64 << 10;
const RETAINED_MAX_BYTES: f64 = 64.0 * 1024.0 * 1024.0;
/// A row of 1 KiB takes a little more in the WAL.
const FOREIGN_ROWS_OF_16_MIB: u32 = 16 * 1024;

/// The broker freezes at first, so that all of it would have to wait in memory if nothing held it back.
#[test]
fn a_transaction_of_a_million_rows_arrives_in_order_within_the_memory_bound() -> Outcome {
    let mut scenario = Setup::new("million").private_kafka().partitions(1).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(1)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.own_kafka()?.freeze(0)?;
    insert_a_million(&scenario)?;
    relay.wait_for_figure("in_flight_bytes", |bytes| bytes >= BUDGET_NEARLY_FULL_BYTES)?;
    relay.wait_for_fault("kafka_unreachable")?;
    scenario.servers.own_kafka()?.thaw(0)?;
    scenario.wait_until_confirmed()?;

    let consumer = scenario.consumer()?;
    let (mut nth, mut wrong) = (0, None);
    consumer.read_each(&consumer.end_offsets(&[scenario.topic()])?, |record| {
        let id = format!("00000000-0000-0000-0000-{nth:012x}");
        let ordinal = format!("{:08X}", nth.max(1) - 1);
        let is_expected = nth == 0 || (record.header("id") == Some(&id) && ordinal_of(&record) == Some(&ordinal));
        if !is_expected && wrong.is_none() {
            wrong = Some(format!("record {nth}: {record:?}"));
        }
        nth += 1;
    })?;
    ensure(wrong.is_none() && nth == ROWS + 1, || {
        format!("{nth} records; {wrong:?}")
    })?;
    let peak = relay.peak_memory_kib()?;
    println!("rows={ROWS} rss_kib={peak}");
    ensure(peak <= MEMORY_MAX_KIB, || {
        format!("{peak} KiB resident, at most {MEMORY_MAX_KIB} are allowed")
    })
}

fn insert_a_million(scenario: &Scenario) -> Outcome {
    let aggregate_type = scenario.aggregate_type();
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         SELECT lpad(to_hex(nth), 32, '0')::uuid, '{aggregate_type}', nth % 100, 'happened',
                json_build_object('nth', nth, 'text', repeat('x', 70))
         FROM generate_series(1, {ROWS}) AS nth"
    ))
}

fn ordinal_of(record: &Record) -> Option<&str> {
    record.header("position")?.split('-').nth(1)
}

#[test]
fn an_idle_outbox_beside_a_busy_table_keeps_little_wal() -> Outcome {
    let mut scenario = Setup::new("idle").sql("CREATE TABLE busy (text text)").start()?;
    let relay = scenario.streaming_relay()?;
    let database = scenario.database()?;
    for _ in 0..16 {
        database.run(&format!(
            "INSERT INTO busy SELECT repeat(md5(nth::text), 32) FROM generate_series(1, {FOREIGN_ROWS_OF_16_MIB}) AS nth"
        ))?;
    }
    wait_for("the slot to let go of the foreign WAL", || {
        let statement = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8
                         FROM pg_replication_slots WHERE slot_name = $1";
        let rows = database
            .rows(statement, &[&scenario.name()])
            .map_err(|failure| failure.to_string())?;
        let retained: f64 = rows.first().map_or(f64::INFINITY, |row| row.get(0));
        if retained < RETAINED_MAX_BYTES {
            Ok(())
        } else {
            Err(format!("{retained} bytes"))
        }
    })?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || {
        format!("an idle relay repeated records: {report}")
    })
}

/// A budget of 64 KiB and 10 records: everything passes, a little at a time.
#[test]
fn a_tiny_budget_is_kept_and_everything_passes() -> Outcome {
    let setup = Setup::new("tiny").set("pipeline.in_flight_bytes_max", 65_536);
    let mut scenario = setup.set("pipeline.in_flight_records_max", 10).start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..20 {
        writer.write(100)?;
        let in_flight = relay.figures()?.get("in_flight_events");
        ensure(in_flight <= 10.0, || format!("{in_flight} records in flight"))?;
    }
    let report = scenario.verify(&relay, &writer.into_history())?;
    (report.duplicates == 0)
        .then_some(())
        .ok_or_else(|| Failure::new(format!("repeated records: {report}")))
}

/// As `make big` does it at full size.
fn small(name: &str) -> Outcome {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| Failure::new(format!("there is no case {name}")))?;
    let entry = case.run(case.small)?;
    println!("{name}: {}", entry.note);
    ensure(entry.is_clean(), || format!("{entry:?}"))
}

#[test]
fn a_backlog_of_small_transactions_arrives_in_order_within_the_memory_bound() -> Outcome {
    small("big-backlog")
}

#[test]
fn a_large_transaction_that_nobody_waits_for_arrives_in_order() -> Outcome {
    small("big-transaction")
}

#[test]
fn thousands_of_commits_of_one_row_arrive_in_order() -> Outcome {
    small("big-commits")
}

#[test]
fn rows_of_a_mebibyte_arrive_in_order_within_a_memory_bound() -> Outcome {
    small("big-rows")
}

#[test]
fn rows_of_a_table_with_two_hundred_columns_more_arrive_in_order() -> Outcome {
    small("big-columns")
}

#[test]
fn rows_of_five_hundred_tables_arrive_in_the_order_of_their_transactions() -> Outcome {
    small("big-tables")
}

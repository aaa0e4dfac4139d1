//! Large and many: each case at full size in the campaign, and small in CI.
//!
//! Rows are numbered, and go to one partition, so that the records must be those numbers in their order: nothing has to
//! be remembered of millions of rows.

use std::fmt::Write;
use std::time::Instant;

use super::results::Entry;
use crate::failure::{Outcome, ensure};
use crate::relay::Relay;
use crate::scenario::Scenario;
use crate::setup::Setup;

/// The budget of 16 MiB, with all that is around it.
const RSS_MAX_KIB: u64 = 64 << 10;
/// One row of 1 MiB is held by the reader, the budget and the producer.
const RSS_OF_LARGE_ROWS_MAX_KIB: u64 = 96 << 10;
/// Progress is waited for in such steps.
const STEP: usize = 10_000;
const COLUMNS: usize = 200;
const TABLES: usize = 500;
const STANDARD_COLUMNS: &str = "id uuid, aggregate_type text, aggregate_id text, event_type text, payload jsonb";

/// A case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name, in the results and on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub meaning: &'static str,
    /// Rows in the campaign.
    pub full: usize,
    /// Rows in CI.
    pub small: usize,
    run: fn(usize) -> Outcome<Measured>,
}

struct Measured {
    scenario: Scenario,
    relay: Relay,
    began: Instant,
    rss_max_kib: u64,
}

/// Every case.
pub const CASES: [Case; 6] = [
    Case {
        name: "big-backlog",
        meaning: "a backlog of transactions of 100 rows, before the relay starts",
        full: 10_000_000,
        small: 200_000,
        run: backlog,
    },
    Case {
        name: "big-transaction",
        meaning: "one transaction",
        full: 5_000_000,
        small: 100_000,
        run: transaction,
    },
    Case {
        name: "big-commits",
        meaning: "transactions of one row",
        full: 100_000,
        small: 5_000,
        run: commits,
    },
    Case {
        name: "big-rows",
        meaning: "rows of 1 MiB",
        full: 1_000,
        small: 50,
        run: large_rows,
    },
    Case {
        name: "big-columns",
        meaning: "rows of a table with 205 columns",
        full: 100_000,
        small: 2_000,
        run: columns,
    },
    Case {
        name: "big-tables",
        meaning: "rows of 500 tables in the publication",
        full: 100_000,
        small: 2_000,
        run: tables,
    },
];

impl Case {
    /// Runs it with so many rows; they must arrive, in order, within the bound on memory.
    ///
    /// # Errors
    /// They do not, or a server fails.
    pub fn run(&self, rows: usize) -> Outcome<Entry> {
        let entry = Entry::begin(self.name, 0)?;
        let Measured {
            scenario,
            mut relay,
            began,
            rss_max_kib,
        } = (self.run)(rows)?;
        wait_for_rows(&mut relay, rows)?;
        let seconds = began.elapsed().as_secs_f64();
        scenario.wait_until_confirmed()?;
        let (lost, reordered) = check(&scenario, rows)?;
        let (peak_kib, complaints) = (relay.peak_memory_kib()?, relay.complaints());
        ensure(complaints.is_empty(), || format!("scraped all along: {complaints:?}"))?;
        ensure(peak_kib <= rss_max_kib, || {
            format!("{peak_kib} KiB resident, at most {rss_max_kib} are allowed")
        })?;
        Ok(Entry {
            count: rows as u64,
            rows,
            lost,
            reordered,
            brokers: 1,
            note: format!(
                "{:.0} rows/s, peak RSS {} MiB",
                f64::from(u32::try_from(rows)?) / seconds,
                peak_kib >> 10
            ),
            ..entry
        })
    }
}

fn setup(label: &str) -> Setup {
    Setup::new(label).partitions(1)
}

fn wait_for_rows(relay: &mut Relay, rows: usize) -> Outcome {
    for step in (STEP..rows).step_by(STEP).chain([rows]) {
        let wanted = f64::from(u32::try_from(step)?);
        relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= wanted)?;
    }
    Ok(())
}

/// How many rows are missing, and how many records are not the one that comes next. What came again does not count.
fn check(scenario: &Scenario, rows: usize) -> Outcome<(usize, usize)> {
    let consumer = scenario.consumer()?;
    let (mut arrived, mut wrong) = (0, 0);
    consumer.read_each(&consumer.end_offsets(&[scenario.topic()])?, |record| {
        let digits = record.header("id").map(|id| id.replace('-', ""));
        match digits.and_then(|digits| usize::from_str_radix(&digits, 16).ok()) {
            Some(nth) if nth == arrived + 1 => arrived = nth,
            Some(nth) if (1..=arrived).contains(&nth) => {}
            _ => wrong += 1,
        }
    })?;
    Ok((rows.saturating_sub(arrived), wrong))
}

/// A statement for the rows `{from}` to `{to}` of a table, whose payload is this expression.
fn insert(scenario: &Scenario, from: &str, to: &str, payload: &str) -> String {
    let aggregate_type = scenario.aggregate_type();
    format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         SELECT lpad(to_hex(nth), 32, '0')::uuid, '{aggregate_type}', nth % 100, 'happened', {payload}
         FROM generate_series({from}, {to}) AS nth"
    )
}

const SMALL_PAYLOAD: &str = "json_build_object('nth', nth, 'text', repeat('x', 70))";

/// One statement a transaction.
fn each_committed(scenario: &Scenario, rows: usize, of_each: usize, payload: &str) -> Outcome {
    let statement = insert(scenario, "start", &format!("start + {of_each} - 1"), payload);
    scenario.database()?.run(&format!(
        "DO $$ BEGIN FOR start IN 1..{rows} BY {of_each} LOOP {statement}; COMMIT; END LOOP; END $$"
    ))
}

fn backlog(rows: usize) -> Outcome<Measured> {
    let mut scenario = setup("big_backlog").start()?;
    each_committed(&scenario, rows, 100, SMALL_PAYLOAD)?;
    let began = Instant::now();
    let relay = scenario.streaming_relay()?;
    Ok(Measured {
        scenario,
        relay,
        began,
        rss_max_kib: RSS_MAX_KIB,
    })
}

/// Starts a relay, then writes.
fn written(mut scenario: Scenario, rss_max_kib: u64, write: impl FnOnce(&Scenario) -> Outcome) -> Outcome<Measured> {
    let relay = scenario.streaming_relay()?;
    let began = Instant::now();
    write(&scenario)?;
    Ok(Measured {
        scenario,
        relay,
        began,
        rss_max_kib,
    })
}

fn transaction(rows: usize) -> Outcome<Measured> {
    written(setup("big_one").start()?, RSS_MAX_KIB, |scenario| {
        let statement = insert(scenario, "1", &rows.to_string(), SMALL_PAYLOAD);
        scenario.database()?.run(&statement)
    })
}

fn commits(rows: usize) -> Outcome<Measured> {
    written(setup("big_commits").start()?, RSS_MAX_KIB, |scenario| {
        each_committed(scenario, rows, 1, SMALL_PAYLOAD)
    })
}

fn large_rows(rows: usize) -> Outcome<Measured> {
    let setup = setup("big_rows").topic_config("max.message.bytes", "4194304");
    let setup = setup.set("kafka.properties.\"message.max.bytes\"", 4_194_304);
    written(setup.start()?, RSS_OF_LARGE_ROWS_MAX_KIB, |scenario| {
        // Of 32 hexadecimal digits each, so that compression has something to do.
        let payload =
            "(SELECT to_json(string_agg(md5((nth * 32768 + part)::text), '')) FROM generate_series(1, 32768) AS part)";
        each_committed(scenario, rows, 1, payload)
    })
}

fn columns(rows: usize) -> Outcome<Measured> {
    let mut table = format!("CREATE TABLE public.outbox ({STANDARD_COLUMNS}");
    for nth in 1..=COLUMNS {
        write!(table, ", column_{nth} text DEFAULT 'of column {nth}'")?;
    }
    written(
        setup("big_columns").sql(&(table + ")")).start()?,
        RSS_MAX_KIB,
        |scenario| each_committed(scenario, rows, 10, SMALL_PAYLOAD),
    )
}

/// A row of each table in every transaction.
fn tables(rows: usize) -> Outcome<Measured> {
    let mut setup = setup("big_tables");
    let mut inserts = String::new();
    for nth in 1..=TABLES {
        let table = format!("events_{nth:03}");
        setup = setup
            .sql(&format!("CREATE TABLE public.{table} ({STANDARD_COLUMNS});"))
            .set(&format!("outbox.{table}.table"), table.as_str());
        write!(
            inserts,
            "INSERT INTO public.{table} SELECT lpad(to_hex(start + {nth}), 32, '0')::uuid, 'order', start % 100,
             'happened', '{{}}';"
        )?;
    }
    let mut scenario = setup.without_migration().start()?;
    let topic = scenario.topic();
    for nth in 1..=TABLES {
        let key = format!("outbox.events_{nth:03}.topic");
        scenario.settings.set(&key, topic.as_str());
    }
    scenario.migrate()?;
    scenario.create_slot()?;
    written(scenario, RSS_MAX_KIB, |scenario| {
        scenario.database()?.run(&format!(
            "DO $$ BEGIN FOR start IN 0..{rows} - 1 BY {TABLES} LOOP {inserts} COMMIT; END LOOP; END $$"
        ))
    })
}

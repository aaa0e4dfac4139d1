//! What becomes a record and what never does (P1, P5).

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::WrittenRow;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

#[test]
fn rows_that_were_rolled_back_never_appear() -> Outcome {
    let mut scenario = Setup::new("rollback").start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(5)?;
    for _ in 0..3 {
        writer.begin()?;
        writer.insert(20)?;
        writer.roll_back()?;
    }
    for _ in 0..3 {
        writer.begin()?;
        writer.insert(2)?;
        writer.savepoint()?;
        writer.insert(3)?;
        writer.roll_back_to_savepoint()?;
        writer.insert(2)?;
        writer.commit()?;
    }
    writer.begin()?;
    writer.savepoint()?;
    writer.insert(5)?;
    writer.roll_back_to_savepoint()?;
    writer.commit()?;
    writer.write(5)?;
    let history = writer.into_history();
    let counts = (history.committed.len(), history.rolled_back.len());
    ensure(counts == (22, 74), || {
        format!("the writer wrote something else: {counts:?}")
    })?;
    scenario.verify(&relay, &history).map(drop)
}

#[test]
fn rows_that_were_deleted_again_in_their_own_transaction_are_published() -> Outcome {
    let mut scenario = Setup::new("deleted").start()?;
    let relay = scenario.streaming_relay()?;
    let database = scenario.database()?;
    database.run(
        "CREATE FUNCTION public.sweep() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN DELETE FROM public.outbox WHERE id = new.id; RETURN NULL; END $$;
         CREATE TRIGGER sweep AFTER INSERT ON public.outbox FOR EACH ROW EXECUTE FUNCTION public.sweep()",
    )?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..5 {
        writer.write(4)?;
    }
    let left = database.text("SELECT count(*)::text FROM public.outbox", &[])?;
    ensure(left.as_deref() == Some("0"), || {
        format!("{left:?} rows are left in the table")
    })?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// `COPY` gives many rows the same LSN, and only the count inside the transaction tells them apart.
#[test]
fn rows_of_a_copy_all_arrive_with_positions_of_their_own() -> Outcome {
    let mut scenario = Setup::new("copy").start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(3)?;
    let mut rows: Vec<WrittenRow> = (0..500).map(|_| writer.next_row(0, "copied")).collect();
    let xid = copy(&scenario, &rows)?;
    for row in &mut rows {
        row.xid = xid;
    }
    let mut history = writer.into_history();
    history.committed.extend(rows);
    scenario.verify(&relay, &history)?;
    let records = scenario.records()?;
    let mut positions: Vec<_> = records.iter().filter_map(|record| record.header("position")).collect();
    positions.sort_unstable();
    positions.dedup();
    ensure(positions.len() == 503, || {
        format!("{} positions of 503 rows", positions.len())
    })
}

/// Columns with volatile defaults are given, because `COPY` inserts one by one where it has to call them.
fn copy(scenario: &Scenario, rows: &[WrittenRow]) -> Outcome<u32> {
    let facts = scenario.servers.postgres()?;
    let mut psql = Command::new(facts.bin_dir.join("psql"))
        .args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
        ])
        .arg(scenario.conninfo()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let columns = "id, aggregate_type, aggregate_id, event_type, payload, created_at";
    let mut script =
        format!("BEGIN; SELECT pg_current_xact_id();\nCOPY public.outbox ({columns}) FROM STDIN (DELIMITER '|');\n");
    let aggregate_type = scenario.aggregate_type();
    for WrittenRow { id, key, payload, .. } in rows {
        writeln!(
            script,
            "{id}|{aggregate_type}|{key}|copied|{payload}|2026-01-02 03:04:05+00"
        )?;
    }
    script.push_str("\\.\nCOMMIT;\n");
    let mut input = psql.stdin.take().ok_or_else(|| Failure::new("psql has no input"))?;
    input.write_all(script.as_bytes())?;
    drop(input);
    let output = psql.wait_with_output()?;
    ensure(output.status.success(), || format!("psql: {output:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

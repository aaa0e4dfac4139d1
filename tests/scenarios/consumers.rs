//! What consumers can build on: the idempotency key (P4).

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::setup::Setup;

/// The statement of GUARANTEES.md itself.
fn inbox_statement() -> Outcome<&'static str> {
    let page = include_str!("../../GUARANTEES.md");
    let line = page.lines().find(|line| line.starts_with("INSERT INTO inbox"));
    let statement = line.and_then(|line| line.split(';').next());
    statement.ok_or_else(|| Failure::new("the page has lost its statement"))
}

#[test]
fn an_inbox_handles_every_event_once_although_the_relay_is_killed() -> Outcome {
    let mut scenario = Setup::new("inbox").start()?;
    let load = scenario.load()?;
    for _ in 0..5 {
        let mut relay = scenario.relay()?;
        relay.wait_for_figure("events_acked_total", |records| records > 300.0)?;
        relay.kill()?;
        scenario.note_fault()?;
    }
    let relay = scenario.streaming_relay()?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates > 0, || format!("no kill repeated anything: {report}"))?;

    let database = scenario.database()?;
    database.run("CREATE TABLE inbox (event_id text PRIMARY KEY); CREATE TABLE handled (event_id text)")?;
    let statement = inbox_statement()?;
    for record in scenario.records()? {
        let id = record.header("id").unwrap_or_default();
        database.run("BEGIN")?;
        if !database.rows(&format!("{statement} RETURNING 1"), &[&id])?.is_empty() {
            database.rows("INSERT INTO handled VALUES ($1)", &[&id])?;
        }
        database.run("COMMIT")?;
    }
    let counts = database.text(
        "SELECT count(*) || ' of ' || count(DISTINCT event_id) FROM handled",
        &[],
    )?;
    let rows = history.committed.len();
    ensure(counts == Some(format!("{rows} of {rows}")), || {
        format!("{counts:?} events were handled of {rows}")
    })
}

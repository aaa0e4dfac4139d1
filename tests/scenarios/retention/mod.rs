//! What is removed, and what never is: only rows that the slot has confirmed, whatever stands in between.

mod archives;
mod deletes;
mod janitor;
mod kills;
mod paces;
mod partitions;
mod proofs;
mod rights;
mod whole_tables;

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::Ended;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::wait::wait_for;

/// `purge` as the superuser, who is a member of every role.
fn purge(scenario: &Scenario, more: &[&str]) -> Outcome<Ended> {
    let file = scenario.file("superuser").display().to_string();
    let arguments = [&["purge", "--user", "postgres", "--password-file", &file], more].concat();
    scenario.command(&arguments)
}

/// `purge` of what is confirmed, whatever its age.
fn purge_all(scenario: &Scenario) -> Outcome<Ended> {
    purge(scenario, &["--keep-days", "0"])
}

/// Waits until everything that is committed is confirmed, and until no transaction runs any more that is older than a row: the
/// server's other databases have theirs, and a mark does not know whose they are.
#[track_caller]
fn settle(scenario: &Scenario) -> Outcome {
    scenario.wait_until_confirmed()?;
    let database = scenario.database()?;
    let younger = "SELECT count(*)::text FROM public.outbox o, pg_snapshot_xmin(pg_current_snapshot()) AS horizon
         WHERE NOT outbox_relay.is_before(o.xmin, horizon::text::bigint, outbox_relay.next_transaction())";
    wait_for("older transactions to end", || {
        let younger = database.text(younger, &[]).map_err(|failure| failure.to_string())?;
        if younger.as_deref() == Some("0") {
            Ok(())
        } else {
            Err(format!("{younger:?} rows"))
        }
    })?;
    scenario.wait_until_confirmed()
}

fn count(database: &Database, of: &str) -> Outcome<usize> {
    let count = database.text(&format!("SELECT count(*)::text FROM {of}"), &[])?;
    Ok(count.unwrap_or_default().parse()?)
}

#[track_caller]
fn are_left(scenario: &Scenario, rows: usize) -> Outcome {
    let left = count(&scenario.database()?, "public.outbox")?;
    ensure(left == rows, || format!("{left} rows are left, not {rows}"))
}

/// How many rows the audit trail says were removed.
fn told(scenario: &Scenario) -> Outcome<usize> {
    let told = "SELECT coalesce(sum(split_part(result, ' ', 1)::int), 0)::text FROM outbox_relay.audit
         WHERE action = 'purge' AND result LIKE '% rows removed%'";
    Ok(scenario.database()?.text(told, &[])?.unwrap_or_default().parse()?)
}

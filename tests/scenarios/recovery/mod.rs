//! `outbox-relay recover`: whatever became of the slot, every committed row can be read in Kafka afterwards, under the id it
//! always had.

mod interrupted;
mod lost;
mod mapping;
mod refusals;
mod restored;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::{History, WrittenRow};
use outbox_relay_tests::program::{Ended, UnderWay};
use outbox_relay_tests::scenario::Scenario;

/// With a role that may read the tables.
fn look(scenario: &Scenario, more: &[&str]) -> Outcome<Ended> {
    let password_file = scenario.file("superuser").display().to_string();
    let own = ["recover", "--user", "postgres", "--password-file", &password_file];
    scenario.command(&[&own, more].concat())
}

/// Runs it to its end, confirmed and with a reason.
fn recover(scenario: &Scenario, more: &[&str]) -> Outcome<Ended> {
    look(scenario, &[&["--yes", "--reason", "the test"], more].concat())
}

/// The same, and goes on meanwhile.
fn begin(scenario: &Scenario, more: &[&str]) -> Outcome<UnderWay> {
    let password_file = scenario.file("superuser").display().to_string();
    let own = ["recover", "--user", "postgres", "--password-file", &password_file];
    scenario.begin(&[&own, ["--yes", "--reason", "the test"].as_slice(), more].concat())
}

/// Runs it and expects that it does what it is for.
#[track_caller]
fn recovered(scenario: &Scenario, more: &[&str]) -> Outcome<Ended> {
    let ended = recover(scenario, more)?;
    println!("{}", ended.output);
    ended.must(0, &["audit: ", "start the relay"])?;
    Ok(ended)
}

/// Every committed row is in Kafka once, as it was written; those that were replayed say so; the order of each key is that
/// in which its rows were written.
#[track_caller]
fn arrived_once(scenario: &Scenario, history: &History, replayed: usize) -> Outcome {
    let records = scenario.records()?;
    ensure(records.len() == history.committed.len(), || {
        format!("{} records of {} rows", records.len(), history.committed.len())
    })?;
    let found = arrived(&records, history)?;
    ensure(found == replayed, || {
        format!("{found} are replayed instead of {replayed}")
    })
}

/// The same of the first records of each id; gives the number of those that are replayed.
#[track_caller]
fn arrived(records: &[Record], history: &History) -> Outcome<usize> {
    let mut firsts: HashMap<&str, &Record> = HashMap::new();
    for record in records {
        let id = record.header("id");
        let id = id.ok_or_else(|| Failure::new(format!("no id: {record:?}")))?;
        firsts.entry(id).or_insert(record);
    }
    let written: BTreeSet<&str> = history.committed.iter().map(|row| row.id.as_str()).collect();
    let found: BTreeSet<&str> = firsts.keys().copied().collect();
    ensure(found == written, || {
        let lost = written.difference(&found).count();
        let invented = found.difference(&written).count();
        format!("{lost} rows are lost, {invented} records are of none")
    })?;
    let mut newest: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for row in &history.committed {
        let record = firsts.get(row.id.as_str()).copied();
        let record = record.ok_or_else(|| Failure::new(format!("{row:?} is lost")))?;
        as_written(record, row)?;
        if let Some(before) = newest.insert((&row.topic, &row.key), record.offset) {
            ensure(before < record.offset, || {
                format!("{record:?} came before an earlier one of its key")
            })?;
        }
    }
    Ok(firsts.values().filter(|record| is_replayed(record)).count())
}

fn is_replayed(record: &Record) -> bool {
    record.header("replay").is_some()
}

fn as_written(record: &Record, row: &WrittenRow) -> Outcome {
    let is_same = record.topic == row.topic
        && record.key.as_deref() == Some(row.key.as_bytes())
        && record.value.as_deref() == Some(row.payload.as_bytes());
    ensure(is_same, || format!("{record:?} instead of {row:?}"))?;
    if !is_replayed(record) {
        return ensure(record.header("position").is_some(), || {
            format!("no position: {record:?}")
        });
    }
    let occurred_at = record.header("occurred_at").and_then(|at| at.parse::<i64>().ok());
    let is_flagged = record.header("replay") == Some("recover")
        && record.header("position").is_none()
        && occurred_at <= record.timestamp_ms
        && occurred_at.is_some();
    ensure(is_flagged, || format!("not flagged as it should be: {record:?}"))
}

/// What the audit trail says of recoveries, in order.
fn audited(scenario: &Scenario) -> Outcome<Vec<String>> {
    let statement = "SELECT format('%s %s, because %s: %s', kind, resource, why, result) FROM outbox_relay.audit
         WHERE action = 'recover' ORDER BY seq";
    let rows = scenario.database()?.rows(statement, &[])?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

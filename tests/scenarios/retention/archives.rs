//! Rows are archived before they go, and can be published once more.

use std::fs;
use std::path::{Path, PathBuf};

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;
use serde_json::Value;

use super::{are_left, purge_all, settle};

fn archiving(label: &str) -> Outcome<(Scenario, PathBuf)> {
    let mut scenario = Setup::new(label).set("retention.archive_bytes", 65_536).start()?;
    let folder = scenario.file("archive");
    fs::create_dir(&folder)?;
    scenario
        .settings
        .set("retention.archive_folder", folder.display().to_string());
    // So that the janitor may read.
    scenario.migrate()?;
    Ok((scenario, folder))
}

fn files(folder: &Path, suffix: &str) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.display().to_string().ends_with(suffix) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn lines(folder: &Path) -> Outcome<Vec<Value>> {
    let mut lines = Vec::new();
    for file in files(folder, ".jsonl")? {
        for line in fs::read_to_string(file)?.lines() {
            lines.push(serde_json::from_str(line)?);
        }
    }
    Ok(lines)
}

/// Ids and payloads, sorted.
pub(super) fn archived(folder: &Path) -> Outcome<Vec<(String, String)>> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let mut archived: Vec<_> = lines(folder)?
        .iter()
        .map(|line| (text(line, "id"), text(line, "payload")))
        .collect();
    archived.sort();
    Ok(archived)
}

pub(super) fn written(history: &History) -> Vec<(String, String)> {
    let mut written: Vec<_> = history
        .committed
        .iter()
        .map(|row| (row.id.clone(), row.payload.clone()))
        .collect();
    written.sort();
    written
}

fn verify(folder: &Path) -> Outcome<outbox_relay_tests::program::Ended> {
    let folder = folder.display().to_string();
    outbox_relay_tests::program::run(Path::new("/no/such/file"), &["archive", "verify", &folder])
}

#[test]
fn rows_are_in_the_archive_before_they_are_gone_and_can_be_published_once_more() -> Outcome {
    let (mut scenario, folder) = archiving("archived")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    for _ in 0..30 {
        writer.write(30)?;
    }
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["900 rows removed, 900 archived in"])?;
    are_left(&scenario, 0)?;
    let history = writer.into_history();
    ensure(archived(&folder)? == written(&history), || {
        "other rows than were written".to_owned()
    })?;
    ensure(files(&folder, ".jsonl")?.len() > 1, || "one file for all".to_owned())?;
    verify(&folder)?.must(0, &["with 900 rows are as their manifests say"])?;
    scenario.verify(&relay, &history)?;

    let chosen = &history.committed[5].id;
    let place = folder.display().to_string();
    let republish = |more: &[&str]| {
        let arguments = [
            &["archive", "republish", &place, "--reason", "a consumer lost them"],
            more,
        ]
        .concat();
        scenario.command(&arguments)
    };
    let topic = scenario.topic();
    republish(&[])?.must_refuse("republish_not_meant", &[&format!("900 to {topic}"), "--yes"])?;
    republish(&["--topic", "another"])?.must(0, &["no such row"])?;
    republish(&["--until", "2020-01-01", "--yes"])?.must(0, &["no such row"])?;
    republish(&["--id", chosen, "--yes"])?.must(0, &["published once more: 1 records"])?;
    republish(&["--since", "1h", "--yes"])?.must(0, &["published once more: 900 records", "audit: "])?;
    let missing = scenario.command(&["archive", "republish", &place])?;
    missing.must_refuse("reason_missing", &["--reason"])?;

    let records = scenario.records()?;
    let again: Vec<_> = records
        .iter()
        .filter(|record| record.header("replay") == Some("archive"))
        .collect();
    ensure(records.len() == 900 + 901 && again.len() == 901, || {
        format!("{} records, {} of them replayed", records.len(), again.len())
    })?;
    for record in &again {
        let first = records.iter().find(|first| first.header("id") == record.header("id"));
        let first = first.ok_or_else(|| Failure::new("an id that was never published"))?;
        let is_same = (&first.key, &first.value, first.header("event_type"))
            == (&record.key, &record.value, record.header("event_type"));
        ensure(is_same && record.header("occurred_at").is_some(), || {
            format!("{first:?} is not {record:?}")
        })?;
    }
    let told =
        "SELECT string_agg(result, '; ' ORDER BY seq) FROM outbox_relay.audit WHERE action = 'archive.republish'";
    let told = scenario.database()?.text(told, &[])?;
    ensure(
        told.as_deref() == Some("begins; published 1; begins; published 900"),
        || format!("{told:?}"),
    )
}

#[test]
fn a_damaged_archive_is_told_file_by_file_and_nothing_of_it_is_published() -> Outcome {
    let (mut scenario, folder) = archiving("damaged")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(50)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["50 rows removed"])?;
    let published = scenario.records()?.len();
    let file = files(&folder, ".jsonl")?.remove(0);
    let whole = fs::read_to_string(&file)?;
    fs::write(&file, whole.replace("happened", "happenad"))?;
    verify(&folder)?.must_refuse("archive_damaged", &["SHA-256", ".jsonl"])?;
    let place = folder.display().to_string();
    let republish = ["archive", "republish", &place, "--reason", "x", "--yes"];
    scenario
        .command(&republish)?
        .must_refuse("archive_damaged", &["SHA-256"])?;
    ensure(scenario.records()?.len() == published, || {
        "something was published".to_owned()
    })?;
    fs::write(&file, whole)?;
    verify(&folder)?.must(0, &["1 files with 50 rows"])?;
    let elsewhere = scenario.file("elsewhere");
    verify(&elsewhere)?.must_refuse("archive_unreadable", &["elsewhere"])
}

#[test]
fn what_cannot_be_archived_is_not_removed() -> Outcome {
    let (mut scenario, folder) = archiving("no_archive")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(50)?;
    settle(&scenario)?;
    fs::remove_dir(&folder)?;
    purge_all(&scenario)?.must_refuse("archive_not_written", &["archive folder"])?;
    are_left(&scenario, 50)?;
    scenario.settings.remove("retention.archive_folder");
    let full = vec!["/bin/sh", "-c", "cat >/dev/null; echo full >&2; exit 1"];
    scenario.settings.set("retention.archive_command", full);
    purge_all(&scenario)?.must_refuse("archive_not_written", &["it said: full"])?;
    are_left(&scenario, 50)
}

/// What makes no record is a dead letter by then, or the operator has skipped it: it is kept as the row that it is.
#[test]
fn a_row_that_no_record_can_be_made_of_is_archived_as_it_is() -> Outcome {
    let (scenario, folder) = archiving("unmappable")?;
    let database = scenario.database()?;
    let slot = scenario.name().to_owned();
    database.run(
        "ALTER TABLE public.outbox ALTER COLUMN aggregate_type DROP NOT NULL;
         INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload) VALUES (NULL, '1', 'e', '{\"n\": 1.50}')",
    )?;
    // As if it had been set aside: the slot goes on.
    let advance = "SELECT pg_replication_slot_advance($1::text::name, pg_current_wal_lsn())::text";
    wait_for("the row to be archived and removed", || {
        let round = || {
            database.rows("SELECT outbox_relay.retention_mark($1, '0', '0')", &[&slot])?;
            database.rows(advance, &[&slot])?;
            purge_all(&scenario)
        };
        let said = round().map_err(|failure: Failure| failure.to_string())?.output;
        if said.contains("1 rows removed, 1 archived") {
            Ok(())
        } else {
            Err(said)
        }
    })?;
    let line = lines(&folder)?.remove(0);
    let is_kept = line["topic"].is_null() && line["row"]["payload"]["n"] == 1.5 && line["unmappable"].is_string();
    ensure(is_kept, || line.to_string())
}

//! `audit verify`, `export` and `expire`.

use std::fs;

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use serde_json::Value;

use super::letters::put_two_keys;
use super::{as_role, migrated, operate};

/// A trail with all sorts of content: names, reasons with every kind of character, fields that are null.
fn busy(label: &str) -> Outcome<Scenario> {
    let scenario = migrated(label)?;
    put_two_keys(&scenario)?;
    for arguments in [
        &[
            "pause",
            "--reason",
            "größer: 3:abc,-,\n\"x\"",
            "--actor",
            "Jo \u{1f4ec}",
        ][..],
        &["resume", "--reason", "w", "--correlation-id", "INC-7"],
        &[
            "dead-letters",
            "discard",
            "--id",
            "b1",
            "--tenant",
            "acme",
            "--reason",
            "w",
            "--yes",
        ],
        &[
            "dead-letters",
            "redrive",
            "--all",
            "--reason",
            "w",
            "--yes",
            "--no-wait",
        ],
        &["skip", "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a11", "--reason", "w"],
    ] {
        operate(&scenario, arguments)?.must(0, &[])?;
    }
    Ok(scenario)
}

/// The newest head, as commands show it.
pub(super) fn head(scenario: &Scenario) -> Outcome<String> {
    let head = "SELECT format('%s:%s', seq, encode(hash, 'hex')) FROM outbox_relay.audit ORDER BY seq DESC LIMIT 1";
    let head = scenario.database()?.text(head, &[])?;
    head.ok_or_else(|| Failure::new("no head"))
}

pub(super) fn verify(scenario: &Scenario, arguments: &[&str]) -> Outcome<outbox_relay_tests::program::Ended> {
    as_role(scenario, "auditor", &[&["audit", "verify"], arguments].concat())
}

#[test]
fn a_trail_that_nobody_touched_is_whole_and_leads_to_every_head_that_was_shown() -> Outcome {
    let scenario = busy("whole")?;
    let heads = "SELECT format('%s:%s', seq, encode(hash, 'hex')) FROM outbox_relay.audit ORDER BY seq";
    let rows = scenario.database()?.rows(heads, &[])?;
    let last = head(&scenario)?;
    let count = format!("rows:   {}\n", rows.len());
    ensure(rows.len() >= 6, || count.clone())?;
    verify(&scenario, &[])?.must(0, &["the audit trail is whole", &count, &last, "kept elsewhere"])?;
    for row in rows {
        let head: String = row.try_get(0)?;
        verify(&scenario, &["--head", &head])?.must(0, &["is whole", "leads to the head that was given"])?;
    }
    let shown = operate(&scenario, &["pause", "--reason", "w"])?;
    let now = head(&scenario)?;
    shown.must(0, &[&format!("audit: {now}")])?;
    verify(&scenario, &["--head", "7:abc"])?.must_refuse("command_line_wrong", &["SEQ:HASH"])
}

/// Rows of the chain, more than are read at once.
#[test]
fn a_long_trail_is_followed_to_its_end() -> Outcome {
    let scenario = migrated("long_trail")?;
    let append =
        "SELECT outbox_relay.audit_append('operation', 'test', 'r', 'w', NULL, '{}') FROM generate_series(1, 2500)";
    scenario.database()?.run(append)?;
    verify(&scenario, &[])?.must(0, &["rows:   2501", &head(&scenario)?])?;
    let exported = as_role(&scenario, "auditor", &["audit", "export"])?;
    ensure(exported.output.lines().count() == 2_501, || {
        exported.output.len().to_string()
    })
}

/// What somebody with all rights on the table can do, and no role of ours.
pub(super) fn tamper(scenario: &Scenario, statement: &str) -> Outcome {
    scenario.database()?.run(&format!(
        "ALTER TABLE outbox_relay.audit DISABLE TRIGGER USER; {statement}; ALTER TABLE outbox_relay.audit ENABLE TRIGGER USER"
    ))
}

#[test]
fn a_changed_row_a_removed_row_and_an_end_that_was_cut_off_are_found() -> Outcome {
    let scenario = busy("tampered")?;
    let kept = head(&scenario)?;
    let copy = "CREATE TABLE public.kept AS SELECT * FROM outbox_relay.audit";
    scenario.database()?.run(copy)?;
    let restore = "DELETE FROM outbox_relay.audit; INSERT INTO outbox_relay.audit SELECT * FROM public.kept";
    for (what, found) in [
        ("UPDATE outbox_relay.audit SET why = 'another' WHERE seq = 3", "row 3 was changed"),
        ("UPDATE outbox_relay.audit SET at = at - interval '1 us' WHERE seq = 3", "row 3 was changed"),
        ("UPDATE outbox_relay.audit SET database_role = NULL WHERE seq = 3", "row 3 was changed"),
        ("UPDATE outbox_relay.audit SET hash = sha256('x') WHERE seq = 3", "row 3 does not follow"),
        ("DELETE FROM outbox_relay.audit WHERE seq = 4", "row 4 is missing: row 5 comes instead"),
        ("DELETE FROM outbox_relay.audit WHERE seq = 1", "row 1 is missing"),
        (
            "UPDATE outbox_relay.audit a SET why = 'x', content_hash = outbox_relay.audit_content_hash(
                 jsonb_populate_record(a, '{\"why\": \"x\"}')) WHERE seq = 3;
             UPDATE outbox_relay.audit a SET hash = sha256((SELECT hash FROM outbox_relay.audit WHERE seq = 2) || content_hash)
             WHERE seq = 3",
            "row 4 does not follow",
        ),
        (
            "UPDATE outbox_relay.audit SET tenant = NULL, database_role = NULL, os_user = NULL, actor = NULL, action = NULL,
                 resource = NULL, why = NULL, result = NULL, correlation_id = NULL, source_address = NULL, expired_at = now()
             WHERE seq = 3",
            "row 3 was emptied before",
        ),
    ] {
        tamper(&scenario, what)?;
        let ended = verify(&scenario, &[])?;
        ended.must_refuse("audit_trail_broken", &[found])?;
        if !found.starts_with("row 1 ") {
            ended.must(1, &["rows 1 to", "are as they were appended"])?;
        }
        tamper(&scenario, restore)?;
        verify(&scenario, &["--head", &kept])?.must(0, &[])?;
    }

    tamper(&scenario, "DELETE FROM outbox_relay.audit WHERE seq > 4")?;
    verify(&scenario, &[])?.must(0, &["is whole", "kept elsewhere"])?;
    verify(&scenario, &["--head", &kept])?
        .must_refuse("audit_trail_broken", &["ends at row 4", "its end was cut off"])?;
    tamper(&scenario, restore)?;
    let last = kept.split(':').next().unwrap_or_default();
    let rewrite = format!(
        "DELETE FROM outbox_relay.audit WHERE seq = {last}; SELECT outbox_relay.audit_append('operation', 'x', 'x', 'x', 'x', '{{}}')"
    );
    tamper(&scenario, &rewrite)?;
    verify(&scenario, &[])?.must(0, &["is whole"])?;
    verify(&scenario, &["--head", &kept])?.must_refuse("audit_trail_broken", &["written anew"])
}

#[test]
fn the_trail_cannot_be_changed_by_any_role_of_ours() -> Outcome {
    let scenario = busy("append_only")?;
    let database = scenario.database()?;
    for statement in [
        "UPDATE outbox_relay.audit SET why = 'x'",
        "DELETE FROM outbox_relay.audit",
        "TRUNCATE outbox_relay.audit",
    ] {
        // As the superuser; what each role may not at all is in `privileges`.
        let refused = database.attempt(statement)?;
        ensure(refused.as_deref() == Some("OR009"), || {
            format!("{statement}: {refused:?}")
        })?;
    }
    verify(&scenario, &[])?.must(0, &["is whole"])
}

fn exported(scenario: &Scenario, filters: &[&str]) -> Outcome<Vec<Value>> {
    let ended = as_role(scenario, "auditor", &[&["audit", "export"], filters].concat())?;
    ended.must(0, &[])?;
    Ok(ended
        .output
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

#[test]
fn an_export_has_every_row_or_those_that_are_asked_for() -> Outcome {
    let scenario = busy("export")?;
    let all = exported(&scenario, &[])?;
    let actions: Vec<&str> = all.iter().filter_map(|row| row["action"].as_str()).collect();
    let expected = [
        "migrate",
        "pause",
        "resume",
        "dead_letters.discard",
        "dead_letters.redrive",
        "skip",
    ];
    ensure(actions == expected, || format!("{actions:?}"))?;
    let pause = &all[1];
    let is_told =
        pause["why"] == "größer: 3:abc,-,\n\"x\"" && pause["actor"] == "Jo \u{1f4ec}" && pause["kind"] == "operation";
    ensure(is_told, || pause.to_string())?;
    ensure(all[3]["tenant"] == "acme" && all[0]["kind"] == "administration", || {
        all[3].to_string()
    })?;
    let operator = format!("{}_operator", scenario.name());
    for (filters, rows) in [
        (&["--action", "pause", "--action", "skip"][..], 2),
        (&["--actor", "Jo \u{1f4ec}"], 1),
        (&["--actor", &operator], 5),
        (&["--actor", "postgres"], 1),
        (&["--since", "1h"], 6),
        (&["--until", "1h"], 0),
    ] {
        let found = exported(&scenario, filters)?.len();
        ensure(found == rows, || format!("{filters:?}: {found} instead of {rows}"))?;
    }
    Ok(())
}

/// Writes the whole trail anew, as if it had begun so many days ago, a day a row.
const AGED: &str = "DO $$
    DECLARE
        entry    outbox_relay.audit;
        previous bytea := decode(repeat('00', 32), 'hex');
    BEGIN
        FOR entry IN SELECT * FROM outbox_relay.audit ORDER BY seq LOOP
            entry.at := entry.at - make_interval(days => {days} - entry.seq::int);
            entry.content_hash := outbox_relay.audit_content_hash(entry);
            entry.hash := sha256(previous || entry.content_hash);
            previous := entry.hash;
            UPDATE outbox_relay.audit a SET at = entry.at, content_hash = entry.content_hash, hash = entry.hash
            WHERE a.seq = entry.seq;
        END LOOP;
    END $$";

#[test]
fn rows_whose_retention_is_over_are_emptied_and_the_trail_stays_whole_up_to_every_head() -> Outcome {
    let scenario = busy("expired")?;
    // Row 1, a migration, is 399 days old then, and the operations behind it 398 to 394.
    tamper(&scenario, &AGED.replace("{days}", "400"))?;
    let kept = head(&scenario)?;
    let ended = as_role(
        &scenario,
        "janitor",
        &["audit", "expire", "--operations-days", "396", "--actor", "cron"],
    )?;
    let emptied = [
        "operation: 3 rows older than 396 days emptied",
        "administration: 0 rows",
        "audit: 7:",
    ];
    ended.must(0, &emptied)?;
    let rows = exported(&scenario, &[])?;
    ensure(rows[1]["why"].is_null() && !rows[1]["expired_at"].is_null(), || {
        rows[1].to_string()
    })?;
    ensure(rows[4]["why"] == "w" && rows[4]["expired_at"].is_null(), || {
        rows[4].to_string()
    })?;
    let note = &rows[6];
    let is_noted = note["action"] == "audit.expire" && note["result"] == "3 rows emptied" && note["actor"] == "cron";
    ensure(is_noted && note["kind"] == "administration", || note.to_string())?;
    verify(&scenario, &["--head", &kept])?.must(0, &["is whole", "3 were emptied after their retention"])?;

    as_role(&scenario, "janitor", &["audit", "expire"])?.must(0, &["operation: 2 rows older than 365", "audit: 8:"])?;
    as_role(&scenario, "janitor", &["audit", "expire"])?.must(0, &["operation: 0 rows", "administration: 0 rows"])?;
    let short = as_role(
        &scenario,
        "janitor",
        &["audit", "expire", "--administration-days", "390"],
    )?;
    short.must(0, &["administration: 1 rows"])?;
    verify(&scenario, &["--head", &kept])?.must(0, &["6 were emptied"])
}

#[test]
fn nothing_younger_than_a_month_is_ever_emptied() -> Outcome {
    let scenario = busy("too_soon")?;
    let before = exported(&scenario, &[])?;
    for (operations, administration) in [("29", "365"), ("365", "29")] {
        let days = ["--operations-days", operations, "--administration-days", administration];
        let ended = as_role(&scenario, "janitor", &[&["audit", "expire"], &days[..]].concat())?;
        ended.must_refuse("audit_trail_kept", &["at least 30 days"])?;
    }
    ensure(exported(&scenario, &[])? == before, || {
        "something was changed".to_owned()
    })
}

/// The disk that it goes to is full.
#[test]
fn an_export_that_could_not_be_written_is_no_success() -> Outcome {
    let scenario = busy("full_disk")?;
    exported(&scenario, &[])?;
    let name = scenario.name();
    let output = outbox_relay_tests::program::program()?
        .env("OUTBOX_RELAY_CONFIG", scenario.file("relay.toml"))
        .args([
            "audit",
            "export",
            "--user",
            &format!("{name}_auditor"),
            "--password-file",
        ])
        .arg(scenario.file("password"))
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full")?)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(
        output.status.code() == Some(1) && said.contains("code: system_refused"),
        || said,
    )
}

//! What the janitor's role may: have removed what is confirmed, and nothing else.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{are_left, purge_all};

const NOT_PERMITTED: &str = "42501";

/// A statement, and the SQLSTATE of its refusal.
const STATEMENTS: [(&str, Option<&str>); 21] = [
    ("SELECT count(*) FROM public.outbox", Some(NOT_PERMITTED)),
    ("DELETE FROM public.outbox", Some(NOT_PERMITTED)),
    ("UPDATE public.outbox SET event_type = 'x'", Some(NOT_PERMITTED)),
    ("INSERT INTO public.outbox (aggregate_type) VALUES ('x')", Some(NOT_PERMITTED)),
    ("TRUNCATE public.outbox", Some(NOT_PERMITTED)),
    ("DROP TABLE public.outbox", Some(NOT_PERMITTED)),
    ("SELECT FROM outbox_relay.retention_marks, outbox_relay.retained_tables", None),
    (
        "INSERT INTO outbox_relay.retention_marks VALUES ('{name}', '0/1', '1', '0/1', now())",
        Some(NOT_PERMITTED),
    ),
    ("UPDATE outbox_relay.retention_marks SET taken_at = '2000-01-01'", Some(NOT_PERMITTED)),
    ("UPDATE outbox_relay.retained_tables SET is_whole = true", Some(NOT_PERMITTED)),
    ("SELECT outbox_relay.retention_vouch('{name}', '{name}', 'x', '{}')", Some(NOT_PERMITTED)),
    ("SELECT outbox_relay.retention_begin('{name}', '{name}')", Some(NOT_PERMITTED)),
    ("SELECT outbox_relay.retention_forget('{name}')", Some(NOT_PERMITTED)),
    ("SELECT outbox_relay.retention_mark('{name}', '0', '0')", None),
    // A mark that is there and not confirmed, and one that is not there.
    (
        "SELECT outbox_relay.retention_remove('{name}', '{name}', 'default', 'public', 'outbox', 'id', max(lsn), 0, 1000,
             outbox_relay.retention_storage('public', 'outbox'), 1000) FROM outbox_relay.retention_marks",
        Some("OR007"),
    ),
    (
        "SELECT outbox_relay.retention_remove('{name}', '{name}', 'default', 'public', 'outbox', 'id', '0/1', 0, 1000,
             outbox_relay.retention_storage('public', 'outbox'), 1000)",
        Some("OR007"),
    ),
    ("SELECT outbox_relay.retention_letters('{name}', '0/1', 1000, '{}')", Some("OR007")),
    ("SELECT outbox_relay.retention_delivery_state('{name}', 'default', '0/1', 0, 1000)", Some("OR007")),
    ("DELETE FROM outbox_relay.dead_letters", Some(NOT_PERMITTED)),
    ("DELETE FROM outbox_relay.audit", Some(NOT_PERMITTED)),
    ("SELECT outbox_relay.audit_append('operation', 'a', 'r', 'w', 'x', '{}')", Some(NOT_PERMITTED)),
];

#[test]
fn the_janitors_role_can_remove_nothing_that_is_not_confirmed_by_any_statement() -> Outcome {
    let mut scenario = Setup::new("janitor").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let (database, name) = (scenario.database()?, scenario.name().to_owned());
    database.run(&format!("SET ROLE {name}_janitor"))?;
    for (statement, expected) in STATEMENTS {
        let refused = database.attempt(&statement.replace("{name}", &name))?;
        ensure(refused.as_deref() == expected, || {
            format!("{statement}: {refused:?} instead of {expected:?}")
        })?;
    }
    are_left(&scenario, 10)
}

/// What it archives it has to read.
#[test]
fn the_janitors_role_reads_events_only_where_they_are_archived() -> Outcome {
    let scenario = Setup::new("reads")
        .set("retention.archive_folder", "/archive")
        .without_slot()
        .start()?;
    let (database, name) = (scenario.database()?, scenario.name());
    database.run(&format!("SET ROLE {name}_janitor"))?;
    for (statement, expected) in [
        ("SELECT payload FROM public.outbox", None),
        ("SELECT FROM public.outbox FOR UPDATE", Some(NOT_PERMITTED)),
        ("DELETE FROM public.outbox", Some(NOT_PERMITTED)),
    ] {
        let refused = database.attempt(statement)?;
        ensure(refused.as_deref() == expected, || format!("{statement}: {refused:?}"))?;
    }
    Ok(())
}

/// Unless it is told to be one by `retention.enabled` or `--user`.
#[test]
fn the_relays_own_login_is_no_janitor_where_nobody_said_so() -> Outcome {
    let scenario = Setup::new("no_janitor").start()?;
    let ended = scenario.command(&["purge"])?;
    ended.must_refuse("role_not_permitted", &[scenario.name(), "retention.enabled"])?;
    purge_all(&scenario)?.must(0, &["nothing is old enough"])
}

#[test]
fn a_database_that_was_not_migrated_is_told_so() -> Outcome {
    let scenario = Setup::new("unmigrated").without_migration().start()?;
    purge_all(&scenario)?.must_refuse("schema_not_migrated", &["outbox-relay migrate"])
}

//! Nothing goes that is not confirmed.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{are_left, count, purge_all, settle, told};

#[test]
fn what_is_confirmed_is_removed_and_what_waits_for_the_relay_stays() -> Outcome {
    let mut scenario = Setup::new("confirmed").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(100)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["public.outbox: 100 rows removed, not archived"])?;
    are_left(&scenario, 0)?;
    relay.terminate()?;
    writer.write(10)?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    are_left(&scenario, 10)?;
    let relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["10 rows removed"])?;
    are_left(&scenario, 0)?;
    ensure(told(&scenario)? == 110, || "the audit trail tells of others".to_owned())?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// A slot that begins later is past the marks of the one before it, and has published nothing of what they hold.
#[test]
fn a_slot_that_recover_makes_anew_has_confirmed_no_mark_of_the_one_that_is_gone() -> Outcome {
    let mut scenario = Setup::new("anew").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["10 rows removed"])?;
    relay.terminate()?;
    writer.write(5)?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    let (database, slot) = (scenario.database()?, scenario.name().to_owned());
    database.run(&format!("SELECT pg_drop_replication_slot('{slot}')"))?;
    let password_file = scenario.file("superuser").display().to_string();
    let recover = ["recover", "--user", "postgres", "--password-file", &password_file];
    let how = ["--yes", "--reason", "the test", "--since", "2000-01-01"];
    scenario
        .command(&[&recover[..], &how].concat())?
        .must(0, &["starts at"])?;
    let marks = "outbox_relay.retention_marks m JOIN pg_replication_slots s USING (slot_name)
         WHERE m.lsn <= s.confirmed_flush_lsn";
    ensure(count(&database, marks)? == 0, || {
        "marks of the slot before count".to_owned()
    })?;
    purge_all(&scenario)?.must_refuse("retention_unproven", &["public.outbox"])?;
    are_left(&scenario, 5)
}

/// The mark is taken while the transaction runs, and confirmed before it ends.
#[test]
fn a_transaction_that_ran_when_the_mark_was_taken_is_not_of_it() -> Outcome {
    let mut scenario = Setup::new("open").start()?;
    let (mut slow, mut fast) = (
        Writer::connect(scenario.writer()?)?,
        Writer::connect(scenario.writer()?)?,
    );
    let mut relay = scenario.streaming_relay()?;
    fast.write(7)?;
    settle(&scenario)?;
    slow.begin()?;
    slow.insert(5)?;
    fast.write(20)?;
    scenario.wait_until_confirmed()?;
    // Those before the slow one are of the mark, those after it are not: nobody knows which of its rows came when.
    purge_all(&scenario)?.must(0, &["7 rows removed"])?;
    relay.terminate()?;
    slow.commit()?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    are_left(&scenario, 25)?;
    let relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["25 rows removed"])?;
    let mut history = slow.into_history();
    history.merge(fast.into_history());
    scenario.verify(&relay, &history).map(drop)
}

/// A snapshot lists the transactions that run, and none of their subtransactions: by it alone these rows would count as ended.
#[test]
fn a_row_of_a_savepoint_is_not_of_a_mark_that_its_transaction_is_not_of() -> Outcome {
    let mut scenario = Setup::new("savepoint").start()?;
    let (mut slow, mut fast) = (
        Writer::connect(scenario.writer()?)?,
        Writer::connect(scenario.writer()?)?,
    );
    let mut relay = scenario.streaming_relay()?;
    slow.begin()?;
    slow.savepoint()?;
    slow.insert(5)?;
    for _ in 0..10 {
        fast.write(1)?;
    }
    scenario.wait_until_confirmed()?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    relay.terminate()?;
    slow.commit()?;
    let database = scenario.database()?;
    let would_count = "SELECT count(*)::text FROM public.outbox o, outbox_relay.retention_marks m
         WHERE o.xmin::text::bigint > m.horizon::text::bigint";
    ensure(database.text(would_count, &[])?.as_deref() == Some("15"), || {
        "no row has a number of its own above the mark's".to_owned()
    })?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    are_left(&scenario, 15)?;
    let relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["15 rows removed"])?;
    let mut history = slow.into_history();
    history.merge(fast.into_history());
    scenario.verify(&relay, &history).map(drop)
}

#[test]
fn a_row_is_as_old_as_the_mark_that_has_it() -> Outcome {
    let mut scenario = Setup::new("age").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    super::purge(&scenario, &[])?.must(0, &["nothing is old enough yet", "7 days"])?;
    let database = scenario.database()?;
    let age = |interval: &str| {
        database.run(&format!(
            "UPDATE outbox_relay.retention_marks SET taken_at = taken_at - interval '{interval}'"
        ))
    };
    age("6 days 23 hours")?;
    writer.write(10)?;
    settle(&scenario)?;
    super::purge(&scenario, &[])?.must(0, &["nothing is old enough yet"])?;
    age("1 hour")?;
    super::purge(&scenario, &[])?.must(0, &["10 rows removed"])?;
    are_left(&scenario, 10)
}

/// Numbers of transactions begin again after four billion. A row shows the lower half of its own, also when it is frozen.
#[test]
fn no_row_counts_as_older_than_it_is_when_the_numbers_of_transactions_begin_again() -> Outcome {
    let scenario = Setup::new("wrap").without_slot().start()?;
    let database = scenario.database()?;
    let epoch: u64 = 1 << 32;
    for (xmin, horizon, next, is_before) in [
        (99, 100, 200, true),
        (100, 100, 200, false),
        (199, 100, 200, false),
        // The row is of this epoch, or a frozen one of the last: it counts as the younger of the two.
        (99, epoch + 100, epoch + 200, true),
        (150, epoch + 100, epoch + 200, false),
        // Of the epoch before.
        (4_294_967_290, epoch + 3, epoch + 10, true),
        (4_294_967_290, epoch - 10, epoch + 10, false),
        // One that began after the number was asked for, as a row that was updated meanwhile has it.
        (205, 100, 200, false),
        (5, epoch - 50, epoch + 3, false),
        // A horizon of another server, or one that is four billion transactions ago.
        (50, 300, 200, false),
        (50, 100, epoch * 2, false),
    ] {
        let statement = "SELECT outbox_relay.is_before($1::text::xid, $2::text::bigint, $3::text::bigint)::text";
        let parameters = [u64::to_string(&xmin), u64::to_string(&horizon), u64::to_string(&next)];
        let found = database.text(statement, &[&parameters[0], &parameters[1], &parameters[2]])?;
        ensure(
            found.as_deref() == Some(if is_before { "true" } else { "false" }),
            || format!("{xmin} before {horizon} of {next}: {found:?}"),
        )?;
    }
    Ok(())
}

#[test]
fn frozen_rows_are_removed_like_others() -> Outcome {
    let mut scenario = Setup::new("frozen").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    writer.write(50)?;
    settle(&scenario)?;
    scenario.database()?.run("VACUUM FREEZE public.outbox")?;
    purge_all(&scenario)?.must(0, &["50 rows removed"])?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// Between the reading for an archive and the removal rows must stay where they are.
#[test]
fn rows_that_were_moved_since_they_were_read_are_not_removed_by_their_old_places() -> Outcome {
    let mut scenario = Setup::new("moved").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(50)?;
    settle(&scenario)?;
    let database = scenario.database()?;
    database.rows("SELECT outbox_relay.retention_mark($1, '0', '0')", &[&scenario.name()])?;
    scenario.wait_until_confirmed()?;
    let storage = || database.text("SELECT outbox_relay.retention_storage('public', 'outbox')", &[]);
    let remove = |storage: &str| {
        let name = scenario.name();
        database.attempt(&format!(
            "SELECT outbox_relay.retention_remove('{name}', '{name}', 'default', 'public', 'outbox', 'id', max(lsn), 0, 1000,
                 '{storage}', 1000) FROM outbox_relay.retention_marks"
        ))
    };
    let before = storage()?.unwrap_or_default();
    database.run("VACUUM FULL public.outbox")?;
    let refused = remove(&before)?;
    ensure(refused.as_deref() == Some("OR008"), || format!("{refused:?}"))?;
    are_left(&scenario, 50)?;
    let refused = remove(&storage()?.unwrap_or_default())?;
    ensure(refused.is_none(), || format!("{refused:?}"))?;
    are_left(&scenario, 0)
}

//! How fast rows go, and who goes first.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{are_left, count, purge_all, settle};

#[test]
fn rows_go_in_batches_and_no_batch_is_larger_than_configured() -> Outcome {
    let setup = Setup::new("batches")
        .set("retention.batch_rows", 10)
        .set("retention.pause_ms", 1);
    let mut scenario = setup.start()?;
    scenario.database()?.run(
        "CREATE TABLE public.batches (rows bigint);
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO public.batches SELECT count(*) FROM gone; RETURN NULL; END $$;
         CREATE TRIGGER note AFTER DELETE ON public.outbox REFERENCING OLD TABLE AS gone
             FOR EACH STATEMENT EXECUTE FUNCTION public.note()",
    )?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let relay = scenario.streaming_relay()?;
    writer.write(95)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["95 rows removed"])?;
    let batches = scenario.database()?.text(
        "SELECT format('%s %s %s', max(rows), sum(rows), count(*) FILTER (WHERE rows > 0)) FROM public.batches",
        &[],
    )?;
    ensure(batches.as_deref() == Some("10 95 10"), || format!("{batches:?}"))?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// On a server of its own: what others write to a shared one lags too.
#[test]
fn while_the_relay_lags_nothing_is_removed() -> Outcome {
    let mut scenario = Setup::new("lags")
        .private_postgres(&[])
        .set("retention.lag_bytes_max", 1_000_000)
        .start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(20)?;
    settle(&scenario)?;
    let database = scenario.database()?;
    database.rows("SELECT outbox_relay.retention_mark($1, '0', '0')", &[&scenario.name()])?;
    settle(&scenario)?;
    relay.terminate()?;
    database.run("CREATE TABLE public.filler AS SELECT repeat('x', 1000) AS x FROM generate_series(1, 2000)")?;
    purge_all(&scenario)?.must_refuse("relay_lags", &["retention.lag_bytes_max", scenario.name()])?;
    are_left(&scenario, 20)?;
    let relay = scenario.streaming_relay()?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["20 rows removed"])?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn two_janitors_do_not_work_for_one_slot_at_a_time() -> Outcome {
    let scenario = Setup::new("busy").start()?;
    let other = scenario.database()?;
    let lock = "SELECT pg_advisory_lock(hashtext('outbox_relay retention'), hashtext($1))";
    other.rows(lock, &[&scenario.name()])?;
    purge_all(&scenario)?.must_refuse("janitor_busy", &[scenario.name()])
}

/// The application's own transaction has deleted the row and not yet ended.
#[test]
fn a_row_that_somebody_else_holds_is_left_to_the_next_round() -> Outcome {
    let mut scenario = Setup::new("held").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let _relay = scenario.streaming_relay()?;
    writer.write(20)?;
    settle(&scenario)?;
    let holder = scenario.database()?;
    holder.run("BEGIN; DELETE FROM public.outbox WHERE ctid = '(0,3)'")?;
    purge_all(&scenario)?.must(0, &["public.outbox: nothing"])?;
    holder.run("ROLLBACK")?;
    let database = scenario.database()?;
    ensure(count(&database, "public.outbox")? == 20, || "some are gone".to_owned())?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["20 rows removed"])
}

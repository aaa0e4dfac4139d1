//! What operators decide while the relay runs: it obeys at once, and the order of no key is broken by it.

use std::time::{SystemTime, UNIX_EPOCH};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;

use crate::dead_letters::{ACTOR, letters, pause_outbox, set_aside, wait_for_letters, write};

fn call(scenario: &Scenario, function: &str, arguments: &str) -> Outcome {
    let slot = scenario.settings.text("postgres.slot");
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.{function}('{slot}', {arguments}, 'a test', {ACTOR})"
    ))
}

/// Of the letters that failed, in the order of their rows.
fn failed(nth: usize) -> String {
    format!(
        "(SELECT array_agg(letter_id) FROM (SELECT letter_id FROM outbox_relay.dead_letters WHERE state = 'failed'
          ORDER BY commit_lsn, ordinal OFFSET {nth} LIMIT 1) AS one)"
    )
}

#[test]
fn a_line_that_is_halted_by_as_many_keys_as_may_be_parked_goes_on_when_one_is_discarded() -> Outcome {
    let mut scenario = set_aside("keys_full").set("dead_letters.parked_keys_max", 1).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 30_000), ("b", 30_000), ("c", 10)])?;
    relay.wait_for_fault("dead_letters_full")?;
    wait_for_letters(&scenario, &["failed"])?;
    call(&scenario, "letters_discard", &failed(0))?;
    relay.wait_for_phase("streaming")?;
    wait_for_letters(&scenario, &["discarded", "failed"])?;
    // Nothing of the key is left: its next event does not wait.
    ids.extend(write(&scenario, &[("a", 10)])?);
    scenario.wait_until_confirmed()?;
    wait_for_letters(&scenario, &["discarded", "failed"])?;
    let published = scenario.records()?;
    let published: Vec<_> = published.iter().filter_map(|record| record.header("id")).collect();
    ensure(published == [ids[2].as_str(), &ids[3]], || {
        format!("{published:?} of {ids:?}")
    })
}

/// Two tables, one topic, one key: the order is the key's, whichever table a row is from.
#[test]
fn a_letter_behind_one_of_a_paused_outbox_waits_for_it_although_its_own_flows() -> Outcome {
    let mut scenario = Setup::new("two_tables")
        .partitions(1)
        .set("outbox.default.on_defect", "set_aside")
        .set("outbox.other.table", "other")
        .set("outbox.other.on_defect", "set_aside")
        .start()?;
    let topic = scenario.settings.text("outbox.default.topic").to_owned();
    scenario.settings.set("outbox.other.topic", topic);
    let relay = scenario.streaming_relay()?;
    pause_outbox(&scenario)?;
    let mut ids = write(&scenario, &[("k", 10)])?;
    let aggregate_type = scenario.aggregate_type();
    let database = scenario.database()?;
    for _ in 0..2 {
        let insert = "INSERT INTO public.other (aggregate_type, aggregate_id, event_type, payload)
             VALUES ($1, 'k', 'happened', '1') RETURNING id::text";
        ids.push(database.rows(insert, &[&aggregate_type])?[0].try_get(0)?);
    }
    scenario.wait_until_confirmed()?;
    let waiting = letters(&scenario)?;
    let of_key = |id: &String| waiting.iter().any(|(event, state, _)| event == id && state == "parked");
    ensure(ids.iter().all(of_key), || format!("{waiting:?} of {ids:?}"))?;
    // Somebody names it, and still it waits.
    call(
        &scenario,
        "letters_redrive",
        &format!(
            "(SELECT array_agg(letter_id) FROM outbox_relay.dead_letters WHERE idempotency_key = '{}')",
            ids[2]
        ),
    )?;
    call(&scenario, "resume", "'default'")?;
    wait_for("every letter to be published", || {
        let letters = letters(&scenario).map_err(|failure| failure.to_string())?;
        let is_done = letters.iter().all(|(_, state, _)| state == "redriven");
        is_done.then_some(()).ok_or_else(|| format!("{letters:?}"))
    })?;
    drop(relay);
    let records = scenario.records()?;
    let of_key = records.iter().filter(|record| record.key.as_deref() == Some(b"k"));
    let order: Vec<_> = of_key.filter_map(|record| record.header("id")).collect();
    ensure(order == ids, || format!("{order:?} instead of {ids:?}"))
}

/// The first letter is on its way when somebody pauses; the second was marked and not fetched.
#[test]
fn a_pause_stops_a_redrive_that_runs() -> Outcome {
    let mut scenario = set_aside("pause_redrive").start()?;
    let mut relay = scenario.streaming_relay()?;
    write(&scenario, &[("a", 30_000), ("b", 30_000)])?;
    wait_for_letters(&scenario, &["failed", "failed"])?;
    relay.terminate()?;
    scenario
        .settings
        .set("kafka.properties.\"message.max.bytes\"", 1_000_000);
    let database = scenario.database()?;
    database.run(
        "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock(4712); RETURN NEW; END $$;
         CREATE TRIGGER hold BEFORE UPDATE OF state ON outbox_relay.dead_letters
             FOR EACH ROW WHEN (NEW.state = 'redriven') EXECUTE FUNCTION public.hold();
         GRANT EXECUTE ON FUNCTION public.hold() TO PUBLIC;
         SELECT pg_advisory_lock(4712)",
    )?;
    let mut relay = scenario.streaming_relay()?;
    call(&scenario, "letters_redrive", &failed(0))?;
    wait_for("the first letter to be published", || {
        let records = scenario.records().map_err(|failure| failure.to_string())?.len();
        (records == 1).then_some(()).ok_or(format!("{records} records"))
    })?;
    call(&scenario, "pause", "''")?;
    relay.wait_for_fault("relay_paused")?;
    call(&scenario, "letters_redrive", &failed(0))?;
    database.run("SELECT pg_advisory_unlock(4712)")?;
    wait_for_letters(&scenario, &["redriven", "redriving"])?;
    // What the relay does next is to ask for more, and only then which keys are free.
    wait_for("the relay to ask for marked letters once more", || {
        let asked = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
             AND application_name LIKE '%dead letters' 
                 AND (query LIKE '%headers::text, payload,%' OR query LIKE '%AS k (topic, key)%')";
        let asked = database.text(asked, &[]).map_err(|failure| failure.to_string())?;
        (asked.as_deref() == Some("1"))
            .then_some(())
            .ok_or(format!("{asked:?}"))
    })?;
    let records = scenario.records()?.len();
    ensure(records == 1, || {
        format!("{records} records although the relay is paused")
    })?;
    let resumed_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    call(&scenario, "resume", "''")?;
    wait_for_letters(&scenario, &["redriven", "redriven"])?;
    // A record from a letter has the time at which it was sent.
    let sent_at = scenario
        .records()?
        .iter()
        .filter_map(|record| record.timestamp_ms)
        .max();
    let was_sent_after = sent_at.is_some_and(|at| u128::try_from(at).is_ok_and(|at| at >= resumed_at));
    ensure(was_sent_after, || {
        format!("sent at {sent_at:?}, resumed at {resumed_at}")
    })
}

/// What it failed with is kept, and the request is fulfilled.
#[test]
fn a_skip_is_over_whatever_its_event_would_have_failed_with() -> Outcome {
    let mut scenario = Setup::new("skip_mapping").start()?;
    let id = "00000000-0000-4000-8000-00000000000a";
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type, payload)
         VALUES ('{id}', 'no topic', 'k', 'happened', '1')"
    ))?;
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("row_matches_no_route")?;
    call(&scenario, "skip", &format!("'{id}'"))?;
    relay.wait_for_phase("streaming")?;
    wait_for_letters(&scenario, &["failed"])?;
    let left = scenario
        .database()?
        .text("SELECT count(*)::text FROM outbox_relay.skips", &[])?;
    ensure(left.as_deref() == Some("0"), || format!("{left:?} skips are left"))
}

/// A database that was moved brings its letters along; their positions say nothing on the new server.
#[test]
fn a_letter_of_another_server_is_published_and_parks_its_key_until_then() -> Outcome {
    let mut scenario = set_aside("moved").partitions(1).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 30_000)])?;
    wait_for_letters(&scenario, &["failed"])?;
    relay.terminate()?;
    scenario
        .database()?
        .run("UPDATE outbox_relay.dead_letters SET system_identifier = '1', commit_lsn = 'FFFF/0'")?;
    scenario
        .settings
        .set("kafka.properties.\"message.max.bytes\"", 1_000_000);
    let _relay = scenario.streaming_relay()?;
    ids.extend(write(&scenario, &[("a", 10)])?);
    wait_for("its key to be parked", || {
        let letters = letters(&scenario).map_err(|failure| failure.to_string())?;
        (letters.len() == 2).then_some(()).ok_or_else(|| format!("{letters:?}"))
    })?;
    call(
        &scenario,
        "letters_redrive",
        "(SELECT array_agg(letter_id) FROM outbox_relay.dead_letters WHERE system_identifier = '1')",
    )?;
    wait_for_letters(&scenario, &["redriven", "redriven"])?;
    let records = scenario.records()?;
    let order: Vec<_> = records.iter().filter_map(|record| record.header("id")).collect();
    ensure(order == ids, || format!("{order:?} instead of {ids:?}"))
}

//! What became of each event, kept in the database: nothing is confirmed before it is noted, and what is noted is true.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

fn kept(label: &str) -> Setup {
    Setup::new(label).set("outbox.default.delivery_state", true)
}

/// How many events the view tells in each of its states, with the code that they failed with.
fn told(scenario: &Scenario) -> Outcome<String> {
    let told = "SELECT coalesce(string_agg(line, ', ' ORDER BY line), '') FROM (
             SELECT concat_ws(' ', status, last_error_code, count(*)) AS line
             FROM outbox_relay.delivery_default GROUP BY status, last_error_code) AS lines";
    Ok(scenario.database()?.text(told, &[])?.unwrap_or_default())
}

#[track_caller]
fn is_told(scenario: &Scenario, expected: &str) -> Outcome {
    wait_for(&format!("the view to tell {expected:?}"), || {
        let told = told(scenario).map_err(|failure| failure.to_string())?;
        if told == expected { Ok(()) } else { Err(told) }
    })
}

fn holds(scenario: &Scenario, condition: &str) -> Outcome {
    let holds = scenario.database()?.text(&format!("SELECT ({condition})::text"), &[])?;
    ensure(holds.as_deref() == Some("true"), || format!("{holds:?}: {condition}"))
}

#[test]
fn what_is_published_is_told_with_its_time_before_it_is_confirmed() -> Outcome {
    let mut scenario = kept("state_published").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..20 {
        writer.write(100)?;
    }
    is_told(&scenario, "pending 2000")?;
    let mut relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history())?;
    // No wait: what is confirmed is told.
    let told = told(&scenario)?;
    ensure(told == "published 2000", || told)?;
    holds(
        &scenario,
        "SELECT bool_and(published_at BETWEEN created_at AND updated_at AND retry_count = 0)
         FROM outbox_relay.delivery_default JOIN public.outbox USING (id)",
    )?;
    relay.wait_for_figure("delivery_states_written_total", |written| written > 1_999.5)?;
    relay.wait_for_figure("delivery_states_waiting", |waiting| waiting < 0.5)
}

#[test]
fn what_is_refused_is_told_with_the_reason_and_then_with_how_often() -> Outcome {
    let mut scenario = kept("state_failed").without_topic().start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(1)?;
    relay.wait_for_fault("topic_missing")?;
    is_told(&scenario, "failed topic_missing 1")?;
    scenario.create_topic(&scenario.topic(), 3, &[])?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history())?;
    let told = told(&scenario)?;
    ensure(told == "published topic_missing 1", || told)?;
    holds(
        &scenario,
        "SELECT bool_and(retry_count > 0) FROM outbox_relay.delivery_default",
    )
}

#[test]
fn a_dead_letter_is_told_as_set_aside_and_then_as_what_becomes_of_it() -> Outcome {
    let mut scenario = kept("state_letter")
        .set("outbox.default.on_defect", "set_aside")
        .set("kafka.properties.\"message.max.bytes\"", 20_000)
        .start()?;
    let mut relay = scenario.streaming_relay()?;
    let database = scenario.database()?;
    let insert = "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ($1, $2, 'happened', to_json(repeat(md5(random()::text), $3)))";
    for (key, repeats) in [("a", 2_000), ("a", 1), ("b", 2_000), ("c", 1)] {
        database.rows(insert, &[&scenario.aggregate_type(), &key, &repeats])?;
    }
    is_told(
        &scenario,
        "published 1, set_aside key_parked 1, set_aside record_too_large 2",
    )?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    let decide = |what: &str, key: &str| {
        database.run(&format!(
            "SELECT outbox_relay.letters_{what}('{slot}', array_agg(letter_id), 'told', '{{}}')
             FROM outbox_relay.dead_letters WHERE key = '{key}' AND state = 'failed'"
        ))
    };
    decide("discard", "b")?;
    is_told(
        &scenario,
        "discarded record_too_large 1, published 1, set_aside key_parked 1, set_aside record_too_large 1",
    )?;
    relay.terminate()?;
    scenario
        .settings
        .set("kafka.properties.\"message.max.bytes\"", 1_000_000);
    let _relay = scenario.streaming_relay()?;
    decide("redrive", "a")?;
    is_told(
        &scenario,
        "discarded record_too_large 1, published 1, published key_parked 1, published record_too_large 1",
    )?;
    holds(
        &scenario,
        "SELECT count(published_at) = 3 FROM outbox_relay.delivery_default",
    )
}

#[test]
fn what_cannot_be_noted_is_not_confirmed_and_the_relay_says_why() -> Outcome {
    let mut scenario = kept("state_refused").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let user = scenario.settings.text("postgres.user").to_owned();
    let right = "INSERT ON outbox_relay.delivery_state";
    let database = scenario.database()?;
    database.run(&format!("REVOKE {right} FROM {user}"))?;
    let before = database.wal_end()?;
    writer.write(10)?;
    let readiness = relay.wait_for_fault("postgres_not_permitted")?;
    ensure(readiness.body.contains("delivery states cannot be written"), || {
        readiness.body.clone()
    })?;
    relay.wait_for_figure("events_acked_total", |records| records > 19.5)?;
    let confirmed = scenario.confirmed()?;
    ensure(confirmed <= before, || {
        format!("{confirmed} is confirmed, and {before} was the last that is noted")
    })?;
    is_told(&scenario, "pending 10, published 10")?;
    database.run(&format!("GRANT {right} TO {user}"))?;
    scenario.verify(&relay, &writer.into_history())?;
    let told = told(&scenario)?;
    ensure(told == "published 20", || told)
}

#[test]
fn a_relay_that_is_killed_leaves_no_published_event_untold() -> Outcome {
    let mut scenario = kept("state_killed").start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    for _ in 0..5 {
        let before = relay.figures()?.get("events_acked_total");
        relay.wait_for_figure("events_acked_total", |records| records > before + 200.0)?;
        scenario.note_fault()?;
        relay.kill()?;
        relay = scenario.streaming_relay()?;
    }
    let history = load.stop()?;
    scenario.verify(&relay, &history)?;
    let told = told(&scenario)?;
    ensure(told.starts_with("published ") && !told.contains(','), || told)
}

/// What an index does not take, and what no other slot may take over.
#[test]
fn an_id_of_any_length_is_told_and_no_view_is_taken_over() -> Outcome {
    let setup = kept("state_long")
        .without_migration()
        .without_slot()
        .sql("CREATE TABLE public.outbox (id text, aggregate_type text NOT NULL, aggregate_id text NOT NULL,
                  event_type text NOT NULL, payload json, metadata jsonb, created_at timestamptz NOT NULL DEFAULT now())");
    let mut scenario = setup.start()?;
    scenario.migrate()?;
    scenario.create_slot()?;
    let _relay = scenario.streaming_relay()?;
    scenario.database()?.rows(
        "INSERT INTO public.outbox (id, aggregate_type, aggregate_id, event_type)
         SELECT string_agg(md5(random()::text), ''), $1, 'a', 'e' FROM generate_series(1, 200)",
        &[&scenario.aggregate_type()],
    )?;
    scenario.wait_until_confirmed()?;
    let told = told(&scenario)?;
    ensure(told == "published 1", || told)?;
    let other = scenario.command(&[
        "migrate",
        "--user",
        "postgres",
        "--set",
        "postgres.slot=another",
        "--password-file",
        &scenario.file("superuser").display().to_string(),
    ])?;
    ensure(other.code != Some(0), || format!("{other:?}"))?;
    ensure(
        other.output.contains("delivery_default tells of outbox default"),
        || format!("{other:?}"),
    )
}

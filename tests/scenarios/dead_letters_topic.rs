//! The topic that is told of each event that is set aside: a notice, which nothing waits for and no kill loses.

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::wait::wait_for;

use crate::dead_letters::{ACTOR, LIMIT, letters, pause_outbox, set_aside, wait_for_letters, write};

/// The name of the dead-letter topic, which the relay is told of and which nobody has made yet.
fn named(scenario: &mut Scenario) -> String {
    let topic = format!("{}.dead", scenario.name());
    scenario.settings.set("dead_letters.topic", topic.as_str());
    topic
}

/// The notices, once there are so many; in the order of their letters.
fn notices(scenario: &Scenario, topic: &str, count: usize) -> Outcome<Vec<Record>> {
    let mut notices = wait_for("the notices", || {
        let read = scenario
            .consumer()
            .and_then(|consumer| consumer.read(&[topic.to_owned()]));
        let read = read.map_err(|failure| failure.to_string())?;
        (read.len() >= count)
            .then_some(read.clone())
            .ok_or_else(|| format!("{read:?}"))
    })?;
    notices.sort_by_key(|notice| header(notice, "letter_id").parse::<u64>().unwrap_or_default());
    Ok(notices)
}

fn header<'n>(notice: &'n Record, name: &str) -> &'n str {
    notice.header(&format!("outbox_relay.{name}")).unwrap_or("-")
}

/// State, error type, what became of the payload.
fn told(notices: &[Record]) -> String {
    let each = notices.iter().map(|notice| {
        let [state, error_type, payload] = ["state", "error_type", "payload"].map(|name| header(notice, name));
        format!("{state} {error_type} {payload}")
    });
    each.collect::<Vec<_>>().join(", ")
}

fn nothing_is_due(scenario: &Scenario) -> Outcome {
    wait_for("every letter to be told of", || {
        let due = "SELECT count(*)::text FROM outbox_relay.dead_letters WHERE notice_due";
        let due = scenario.database().and_then(|database| database.text(due, &[]));
        let due = due.map_err(|failure| failure.to_string())?;
        (due.as_deref() == Some("0"))
            .then_some(())
            .ok_or_else(|| format!("{due:?} are due"))
    })
}

#[test]
fn each_event_that_is_set_aside_is_told_with_its_reason_and_a_large_one_by_reference() -> Outcome {
    let mut scenario = set_aside("told").start()?;
    let topic = named(&mut scenario);
    scenario.create_topic(&topic, 1, &[])?;
    let mut relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 30_000), ("a", 10), ("b", 10)])?;
    scenario.database()?.run(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('no topic', 'k', 'happened', '{\"a\": 1}')",
    )?;
    wait_for_letters(&scenario, &["failed", "parked", "failed"])?;
    let notices = notices(&scenario, &topic, 3)?;
    let expected = "failed record_too_large left_out, parked key_parked whole, failed row_matches_no_route whole";
    ensure(told(&notices) == expected, || told(&notices))?;

    let large = &notices[0];
    let row = "SELECT format('%s %s %s %s %s', letter_id, payload_bytes, topic, attempts, slot_name)
         FROM outbox_relay.dead_letters WHERE state = 'failed' AND error_type = 'record_too_large'";
    let row = scenario.database()?.text(row, &[])?.unwrap_or_default();
    let said = ["letter_id", "payload_bytes", "topic", "attempts", "slot"].map(|name| header(large, name));
    ensure(said.join(" ") == row, || format!("{said:?} instead of {row}"))?;
    ensure(large.value.is_none() && large.key.as_deref() == Some(b"a"), || {
        format!("{:?} bytes", large.value.as_ref().map(Vec::len))
    })?;
    ensure(
        large.header("id") == Some(&ids[0]) && header(large, "idempotency_key") == ids[0],
        || format!("{:?}", large.headers),
    )?;
    ensure(
        large.header("position") == Some(header(large, "position"))
            && header(large, "error_message").contains("message.max.bytes"),
        || format!("{:?}", large.headers),
    )?;
    let small = &notices[2];
    ensure(
        small.value.as_deref() == Some(b"{\"a\": 1}") && small.key.as_deref() == Some(b"k"),
        || format!("{small:?}"),
    )?;
    ensure(header(small, "topic") == "-", || header(small, "topic").to_owned())?;

    nothing_is_due(&scenario)?;
    relay.wait_for_figure("dead_letter_notices_total{result=\"published\"}", |now| now > 1.5)?;
    relay.wait_for_figure("dead_letter_notices_total{result=\"published_as_reference\"}", |now| {
        now > 0.5
    })?;
    scenario.wait_until_confirmed()
}

#[test]
fn a_dead_letter_topic_that_is_missing_halts_nothing_and_loses_no_notice() -> Outcome {
    let mut scenario = set_aside("untold").start()?;
    let topic = named(&mut scenario);
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_log(&format!(
        "notices of dead letters do not reach topic {topic} (dead_letters.topic)"
    ))?;
    write(&scenario, &[("a", 30_000), ("b", 10)])?;
    wait_for_letters(&scenario, &["failed"])?;
    scenario.wait_until_confirmed()?;
    relay.wait_for_figure("dead_letter_notices_total{result=\"failed\"}", |now| now > 0.5)?;
    ensure(relay.wait_for_phase("streaming")?.phase() == "streaming", String::new)?;
    let log = relay.log();
    let complaints = log.matches("do not reach topic").count();
    ensure(complaints == 1, || format!("told {complaints} times\n{log}"))?;
    ensure(log.contains("create the topic, or correct dead_letters.topic"), || {
        log.clone()
    })?;
    // Nobody but the table remembers it.
    relay.kill()?;
    scenario.create_topic(&topic, 1, &[])?;
    let _relay = scenario.streaming_relay()?;
    let notices = notices(&scenario, &topic, 1)?;
    ensure(told(&notices) == "failed record_too_large left_out", || told(&notices))?;
    nothing_is_due(&scenario)
}

/// What a topic was told and the table was not is told again: at least once, as everything else.
#[test]
fn a_relay_that_is_killed_between_a_notice_and_its_mark_tells_it_again() -> Outcome {
    let mut scenario = set_aside("told_twice").start()?;
    let topic = named(&mut scenario);
    scenario.create_topic(&topic, 1, &[])?;
    let database = scenario.database()?;
    database.run(
        "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
         CREATE TRIGGER hold BEFORE UPDATE OF notice_due ON outbox_relay.dead_letters
             FOR EACH ROW EXECUTE FUNCTION public.hold();
         GRANT EXECUTE ON FUNCTION public.hold() TO PUBLIC;
         SELECT pg_advisory_lock(4711)",
    )?;
    let mut relay = scenario.streaming_relay()?;
    write(&scenario, &[("a", 30_000)])?;
    notices(&scenario, &topic, 1)?;
    wait_for("the mark to be held", || {
        let waits = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted";
        let waits = database.text(waits, &[]).map_err(|failure| failure.to_string())?;
        (waits.as_deref() == Some("1"))
            .then_some(())
            .ok_or(format!("{waits:?}"))
    })?;
    relay.kill()?;
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted;
         SELECT pg_advisory_unlock(4711)",
    )?;
    let _relay = scenario.streaming_relay()?;
    let notices = notices(&scenario, &topic, 2)?;
    let letters: Vec<&str> = notices.iter().map(|notice| header(notice, "letter_id")).collect();
    ensure(letters.len() == 2 && letters[0] == letters[1], || {
        format!("{letters:?}")
    })?;
    nothing_is_due(&scenario)
}

#[test]
fn what_the_dead_letter_topic_does_not_take_is_told_by_reference_and_the_rest_whole() -> Outcome {
    let mut scenario = set_aside("small_topic")
        .set("kafka.properties.\"compression.type\"", "none")
        .start()?;
    let topic = named(&mut scenario);
    scenario.create_topic(&topic, 1, &[(LIMIT, "5000")])?;
    let _relay = scenario.streaming_relay()?;
    write(&scenario, &[("a", 30_000), ("a", 12_000), ("a", 10)])?;
    wait_for_letters(&scenario, &["failed", "parked", "parked"])?;
    nothing_is_due(&scenario)?;
    // Those before the one that was refused may be there twice.
    let mut notices = notices(&scenario, &topic, 3)?;
    notices.dedup_by_key(|notice| header(notice, "letter_id").to_owned());
    let expected = "failed record_too_large left_out, parked key_parked left_out, parked key_parked whole";
    ensure(told(&notices) == expected, || told(&notices))
}

/// They are published in their place once it is resumed: nothing went wrong with them.
#[test]
fn events_of_a_paused_outbox_are_not_told() -> Outcome {
    let mut scenario = set_aside("paused_untold").start()?;
    let topic = named(&mut scenario);
    scenario.create_topic(&topic, 1, &[])?;
    let _relay = scenario.streaming_relay()?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    let database = scenario.database()?;
    pause_outbox(&scenario)?;
    database.run(&format!(
        "SELECT outbox_relay.resume('{slot}', 'default', 'done', {ACTOR})"
    ))?;
    wait_for("the outbox to flow", || {
        write(&scenario, &[("b", 30_000)]).map_err(|failure| failure.to_string())?;
        let letters = letters(&scenario).map_err(|failure| failure.to_string())?;
        let has_failed = letters.iter().any(|(_, state, _)| state == "failed");
        has_failed.then_some(()).ok_or_else(|| format!("{letters:?}"))
    })?;
    let notices = notices(&scenario, &topic, 1)?;
    let wrong = notices
        .iter()
        .find(|notice| header(notice, "error_type") == "route_paused");
    ensure(wrong.is_none(), || told(&notices))
}

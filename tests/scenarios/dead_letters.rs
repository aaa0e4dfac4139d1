//! Rows that cannot be published are set aside and not lost: later rows of their key wait behind them, everything else goes
//! on, and what is published from the dead letters keeps its id and its order (P1, P2, P3, P4).

use std::collections::{BTreeMap, HashSet};

use outbox_relay_tests::consumer::Record;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::StopMode;
use outbox_relay_tests::wait::wait_for;

/// What the producer takes: a row above it is refused without asking a broker.
pub(crate) const MESSAGE_MAX: &str = "kafka.properties.\"message.max.bytes\"";
/// What the brokers take.
pub(crate) const LIMIT: &str = "max.message.bytes";
pub(crate) const ACTOR: &str = "'{\"name\": \"test\"}'";

pub(crate) fn set_aside(label: &str) -> Setup {
    Setup::new(label)
        .set("outbox.default.on_defect", "set_aside")
        .set(MESSAGE_MAX, 20_000)
}

/// Writes one row for each key, in one transaction; a payload of so many bytes.
pub(crate) fn write(scenario: &Scenario, rows: &[(&str, usize)]) -> Outcome<Vec<String>> {
    let database = scenario.database()?;
    let mut ids = Vec::new();
    let aggregate_type = scenario.aggregate_type();
    database.run("BEGIN")?;
    for &(key, bytes) in rows {
        let insert = "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ($1, $2, 'happened', to_json(repeat(md5(random()::text), 1 + $3 / 32))) RETURNING id::text";
        let bytes = i32::try_from(bytes)?;
        let row = database.rows(insert, &[&aggregate_type, &key, &bytes])?;
        ids.push(row[0].try_get(0)?);
    }
    database.run("COMMIT")?;
    Ok(ids)
}

pub(crate) fn letters(scenario: &Scenario) -> Outcome<Vec<(String, String, String)>> {
    let statement =
        "SELECT idempotency_key, state, error_type FROM outbox_relay.dead_letters ORDER BY commit_lsn, ordinal";
    let rows = scenario.database()?.rows(statement, &[])?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect()
}

pub(crate) fn wait_for_letters(scenario: &Scenario, states: &[&str]) -> Outcome {
    wait_for("the dead letters to be in their states", || {
        let letters = letters(scenario).map_err(|failure| failure.to_string())?;
        let are_there = letters
            .iter()
            .map(|(_, state, _)| state.as_str())
            .eq(states.iter().copied());
        are_there.then_some(()).ok_or_else(|| format!("{letters:?}"))
    })
}

/// Pauses the outbox, and waits until the relay has set a row of it aside.
pub(crate) fn pause_outbox(scenario: &Scenario) -> Outcome {
    let slot = scenario.settings.text("postgres.slot");
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.pause('{slot}', 'default', 'a test', {ACTOR})"
    ))?;
    wait_for("the relay to obey", || {
        let probed = write(scenario, &[("probe", 10)]).and_then(|_| letters(scenario));
        let parked = probed.map_err(|failure| failure.to_string())?;
        (!parked.is_empty())
            .then_some(())
            .ok_or_else(|| "nothing waits".to_owned())
    })
}

/// Has everything published that failed.
fn redrive(scenario: &Scenario) -> Outcome {
    let slot = scenario.settings.text("postgres.slot");
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.letters_redrive('{slot}', array_agg(letter_id), 'mended', {ACTOR})
         FROM outbox_relay.dead_letters WHERE state = 'failed' HAVING count(*) > 0"
    ))
}

fn wait_until_resolved(scenario: &Scenario) -> Outcome {
    wait_for("every dead letter to be resolved", || {
        let mut letters = letters(scenario).map_err(|failure| failure.to_string())?;
        letters.retain(|(_, state, _)| state != "redriven" && state != "discarded");
        letters.is_empty().then_some(()).ok_or_else(|| format!("{letters:?}"))
    })
}

fn ids_of(records: &[Record]) -> Vec<&str> {
    records.iter().filter_map(|record| record.header("id")).collect()
}

/// Of each key, first occurrences are in commit order.
fn is_in_order(records: &[Record]) -> Outcome {
    let (mut newest, mut seen) = (BTreeMap::new(), HashSet::new());
    for record in records {
        let position = record.header("position").unwrap_or_default().to_owned();
        if !seen.insert(record.header("id").unwrap_or_default().to_owned()) {
            continue;
        }
        let before = newest.insert(record.key.clone(), position.clone());
        ensure(before.as_ref().is_none_or(|before| *before < position), || {
            format!("{position} of key {:?} comes behind {before:?}", record.key)
        })?;
    }
    Ok(())
}

/// Each id is readable, once.
fn has_each_once(records: &[Record], ids: &[String]) -> Outcome {
    let mut read = ids_of(records);
    read.sort_unstable();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    ensure(read == wanted, || format!("read: {read:?}\nwritten: {wanted:?}"))
}

fn has_all(records: &[Record], ids: &[String]) -> Outcome {
    let read: HashSet<&str> = ids_of(records).into_iter().collect();
    let lost: Vec<&String> = ids.iter().filter(|id| !read.contains(id.as_str())).collect();
    ensure(lost.is_empty(), || format!("lost: {lost:?}"))
}

/// A relay whose producer takes larger records.
fn with_larger_messages(scenario: &mut Scenario, mut relay: Relay) -> Outcome<Relay> {
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    scenario.settings.set(MESSAGE_MAX, 1_000_000);
    scenario.streaming_relay()
}

#[test]
fn a_row_that_is_too_large_waits_with_its_key_and_is_published_in_its_place_when_it_is_redriven() -> Outcome {
    let mut scenario = set_aside("too_large_aside").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 10), ("b", 10)])?;
    ids.extend(write(&scenario, &[("a", 30_000), ("b", 10), ("a", 10)])?);
    ids.extend(write(&scenario, &[("a", 10), ("c", 10)])?);
    wait_for_letters(&scenario, &["failed", "parked", "parked"])?;
    scenario.wait_until_confirmed()?;
    let read = scenario.records()?;
    ensure(read.len() == 4, || format!("{} records beside the letters", read.len()))?;
    relay.wait_for_figure("dead_letters{state=\"parked\"}", |now| now > 1.5)?;
    relay.wait_for_figure("dead_letters_parked_keys", |now| now > 0.5)?;
    let told = relay.wait_for_readiness("the letters to be told", |now| {
        now.body.contains("dead letters: 3 not resolved")
    })?;
    ensure(told.status == 200 && told.body.contains("1 parked keys"), || {
        format!("{told:?}")
    })?;
    let log = relay.log();
    let warned: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("an event is set aside"))
        .collect();
    ensure(
        warned.len() == 1
            && ["record_too_large", &scenario.topic(), &ids[2]]
                .iter()
                .all(|word| warned[0].contains(*word)),
        || format!("{warned:?}"),
    )?;
    let set_aside = relay
        .figures()?
        .count("events_set_aside_total{error_type=\"record_too_large\"}");
    ensure(set_aside == 1, || format!("{set_aside} were counted"))?;

    let mut relay = with_larger_messages(&mut scenario, relay)?;
    redrive(&scenario)?;
    wait_until_resolved(&scenario)?;
    relay.wait_for_figure("dead_letters_parked_keys", |now| now < 0.5)?;
    ids.extend(write(&scenario, &[("a", 10)])?);
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?;
    is_in_order(&records)?;
    has_each_once(&records, &ids)?;
    let redriven = records.iter().filter(|record| record.header("redrive").is_some());
    let marked = redriven.filter(|record| record.header("occurred_at").is_some()).count();
    ensure(marked == 3, || format!("{marked} records are marked as redriven"))
}

#[test]
fn a_record_that_the_brokers_refuse_is_set_aside_after_its_attempts_with_what_they_said() -> Outcome {
    let mut scenario = Setup::new("refused_aside")
        .partitions(1)
        .topic_config(LIMIT, "10000")
        .set("outbox.default.on_defect", "set_aside")
        .set("kafka.properties.\"compression.type\"", "none")
        .start()?;
    let relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 10), ("b", 10), ("a", 30_000), ("b", 10), ("a", 10)])?;
    ids.extend(write(&scenario, &[("a", 10), ("c", 10)])?);
    wait_for_letters(&scenario, &["failed", "parked", "parked"])?;
    let statement = "SELECT broker_response, attempts = attempts_max AND attempts = 3, first_failed_at < last_failed_at
         FROM outbox_relay.dead_letters WHERE state = 'failed'";
    let row = scenario.database()?.rows(statement, &[])?.remove(0);
    let (said, tried, lasted): (String, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    ensure(said.contains("MessageSizeTooLarge") && tried && lasted, || {
        format!("{said} {tried} {lasted}")
    })?;
    scenario.wait_until_confirmed()?;
    let database = scenario.database()?;
    let audit =
        "SELECT string_agg(action, ',' ORDER BY seq) FROM outbox_relay.audit WHERE action LIKE 'dead_letters.%'";
    let audit = database.text(audit, &[])?.unwrap_or_default();
    ensure(
        audit.contains("dead_letters.set_aside") && audit.contains("dead_letters.park"),
        || audit.clone(),
    )?;
    drop(relay);
    // Redriven too early, it goes back, and those behind it wait again.
    let mut relay = scenario.streaming_relay()?;
    redrive(&scenario)?;
    relay.wait_for_figure("redrives_total{result=\"failed\"}", |now| now > 0.5)?;
    wait_for_letters(&scenario, &["failed", "parked", "parked"])?;
    let topic = scenario.topic();
    scenario.servers.topics()?.alter(&topic, &[(LIMIT, "100000")])?;
    redrive(&scenario)?;
    wait_until_resolved(&scenario)?;
    let records = scenario.records()?;
    is_in_order(&records)?;
    has_each_once(&records, &ids)
}

#[test]
fn a_row_without_a_possible_topic_is_kept_and_published_when_the_template_gives_one() -> Outcome {
    let mut scenario = set_aside("no_topic_aside").start()?;
    let mut relay = scenario.streaming_relay()?;
    scenario.database()?.run(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('no topic', 'k', 'happened', '{\"a\": 1}')",
    )?;
    let ids = write(&scenario, &[("a", 10)])?;
    wait_for_letters(&scenario, &["failed"])?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &ids)?;
    relay.terminate()?;
    let topic = scenario.topic();
    scenario.settings.set("outbox.default.topic", topic);
    let _relay = scenario.streaming_relay()?;
    redrive(&scenario)?;
    wait_until_resolved(&scenario)?;
    let records = scenario.records()?;
    let redriven = records.iter().find(|record| record.header("redrive").is_some());
    let value = redriven.and_then(|record| record.value.clone());
    ensure(value == Some(b"{\"a\": 1}".to_vec()), || format!("{records:?}"))
}

#[test]
fn where_the_operator_chose_so_later_rows_of_the_key_go_on() -> Outcome {
    let mut scenario = set_aside("continue_aside")
        .set("outbox.default.successors", "continue")
        .start()?;
    let _relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 10), ("a", 30_000), ("a", 10)])?;
    wait_for_letters(&scenario, &["failed"])?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &[ids[0].clone(), ids[2].clone()])
}

#[test]
fn a_table_that_cannot_be_written_halts_the_line_and_nothing_is_skipped() -> Outcome {
    let mut scenario = set_aside("unwritable_aside").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 10)])?;
    scenario.wait_until_confirmed()?;
    let (database, user) = (scenario.database()?, scenario.settings.text("postgres.user").to_owned());
    database.run(&format!("REVOKE INSERT ON outbox_relay.dead_letters FROM \"{user}\""))?;
    ids.extend(write(&scenario, &[("b", 30_000)])?);
    relay.wait_for_fault("postgres_not_permitted")?;
    let behind = database.wal_end()?;
    ids.extend(write(&scenario, &[("c", 10)])?);
    let confirmed = scenario.confirmed()?;
    ensure(confirmed < behind, || {
        format!("{confirmed} is confirmed, beyond a row without a letter")
    })?;
    ensure(scenario.records()?.len() == 1, || {
        "rows passed the one that waits".to_owned()
    })?;
    database.run(&format!("GRANT INSERT ON outbox_relay.dead_letters TO \"{user}\""))?;
    relay.wait_for_phase("streaming")?;
    wait_for_letters(&scenario, &["failed"])?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &[ids[0].clone(), ids[2].clone()])
}

#[test]
fn more_letters_than_are_allowed_halt_the_line_until_some_are_resolved() -> Outcome {
    let mut scenario = set_aside("full_aside").set("dead_letters.letters_max", 2).start()?;
    let mut relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 30_000), ("a", 10), ("a", 10), ("b", 10)])?;
    relay.wait_for_fault("dead_letters_full")?;
    // What is on its way to the table counts, before it is there.
    wait_for_letters(&scenario, &["failed", "parked"])?;
    ensure(scenario.records()?.is_empty(), || "something passed".to_owned())?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.letters_discard('{slot}', array_agg(letter_id), 'not needed', {ACTOR})
         FROM outbox_relay.dead_letters WHERE state = 'failed'"
    ))?;
    relay.wait_for_phase("streaming")?;
    wait_until_resolved(&scenario)?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?;
    is_in_order(&records)?;
    has_each_once(&records, &ids[1..])
}

/// The brokers' refusal alone would send somebody to the topic, where nothing is wrong.
#[test]
fn a_record_that_the_brokers_refuse_names_the_bound_where_there_is_no_room_for_its_letter() -> Outcome {
    let mut scenario = Setup::new("full_refused")
        .partitions(1)
        .topic_config(LIMIT, "10000")
        .set("outbox.default.on_defect", "set_aside")
        .set("kafka.properties.\"compression.type\"", "none")
        .set("dead_letters.letters_max", 1)
        .start()?;
    let mut relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 30_000), ("b", 30_000), ("c", 10)])?;
    wait_for_letters(&scenario, &["failed"])?;
    let readiness = relay.wait_for_fault("record_too_large")?;
    wait_for("the bound to be named", || {
        let told = relay.readiness().map_err(|failure| failure.to_string())?;
        let is_named = told.body.contains("dead_letters.letters_max") && told.body.contains(&ids[1]);
        is_named.then_some(()).ok_or_else(|| format!("{told:?}"))
    })?;
    ensure(readiness.phase() == "halted", || format!("{readiness:?}"))?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.letters_discard('{slot}', array_agg(letter_id), 'not needed', {ACTOR})
         FROM outbox_relay.dead_letters WHERE state = 'failed'"
    ))?;
    relay.wait_for_phase("streaming")?;
    wait_for_letters(&scenario, &["discarded", "failed"])?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &ids[2..])
}

/// The slot goes back with the server: what was redriven or let go meanwhile does not come again behind newer events.
#[test]
fn an_old_slot_position_after_a_server_crash_publishes_no_letter_again() -> Outcome {
    let mut scenario = set_aside("crashed_aside").private_postgres(&[]).start()?;
    let relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 30_000), ("a", 10), ("b", 30_000), ("c", 10)])?;
    wait_for_letters(&scenario, &["failed", "parked", "failed"])?;
    let _relay = with_larger_messages(&mut scenario, relay)?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.letters_discard('{slot}', array_agg(letter_id), 'not needed', {ACTOR})
         FROM outbox_relay.dead_letters WHERE key = 'b'"
    ))?;
    redrive(&scenario)?;
    wait_until_resolved(&scenario)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.own_postgres()?.stop(StopMode::Immediate)?;
    scenario.servers.own_postgres()?.start_again()?;
    let more = write(&scenario, &[("a", 10), ("b", 10)])?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?;
    let times = |id: &String| ids_of(&records).iter().filter(|read| *read == id).count();
    ensure(
        times(&ids[0]) == 1 && times(&ids[1]) == 1 && times(&ids[2]) == 0,
        || format!("letters came again: {:?}", ids_of(&records)),
    )?;
    has_all(&records, &more)
}

#[test]
fn kills_between_failure_letter_confirmation_and_redrive_lose_and_reorder_nothing() -> Outcome {
    let mut scenario = set_aside("killed_aside").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = Vec::new();
    for round in 0_u32..12 {
        for _ in 0..20 {
            let large = if fastrand::u8(..4) == 0 { 30_000 } else { 10 };
            ids.extend(write(
                &scenario,
                &[("a", 10), ("b", large), ("a", 10), ("c", 10), ("b", 10)],
            )?);
        }
        if round % 3 == 2 {
            // From here on everything can be published.
            scenario.settings.set(MESSAGE_MAX, 1_000_000);
            redrive(&scenario)?;
        } else {
            scenario.settings.set(MESSAGE_MAX, 20_000);
        }
        let some = f64::from(fastrand::u32(..90));
        relay.wait_for_figure("events_received_total", |received| received >= some)?;
        relay.kill()?;
        relay = scenario.relay()?;
    }
    relay.terminate()?;
    scenario.settings.set(MESSAGE_MAX, 1_000_000);
    let _relay = scenario.streaming_relay()?;
    redrive(&scenario)?;
    scenario.wait_until_confirmed()?;
    redrive(&scenario)?;
    wait_until_resolved(&scenario)?;
    let records = scenario.records()?;
    is_in_order(&records)?;
    has_all(&records, &ids)
}

#[test]
fn a_named_event_is_skipped_into_the_dead_letters_where_the_line_halts_at_it() -> Outcome {
    let mut scenario = Setup::new("skipped").set(MESSAGE_MAX, 20_000).start()?;
    let mut relay = scenario.streaming_relay()?;
    let ids = write(&scenario, &[("a", 10), ("a", 30_000), ("a", 10)])?;
    relay.wait_for_fault("record_too_large")?;
    let (slot, id) = (scenario.settings.text("postgres.slot").to_owned(), ids[1].clone());
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.skip('{slot}', '{id}', 'a test', {ACTOR})"
    ))?;
    relay.wait_for_phase("streaming")?;
    wait_for_letters(&scenario, &["failed"])?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &[ids[0].clone(), ids[2].clone()])?;
    let left = scenario
        .database()?
        .text("SELECT count(*)::text FROM outbox_relay.skips", &[])?;
    ensure(left.as_deref() == Some("0"), || format!("{left:?} skips are left"))
}

#[test]
fn a_paused_relay_takes_nothing_says_how_long_that_can_last_and_goes_on_where_it_was() -> Outcome {
    let mut scenario = Setup::new("paused").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut ids = write(&scenario, &[("a", 10)])?;
    scenario.wait_until_confirmed()?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    let database = scenario.database()?;
    database.run(&format!("SELECT outbox_relay.pause('{slot}', '', 'a test', {ACTOR})"))?;
    let readiness = relay.wait_for_fault("relay_paused")?;
    ensure(
        readiness.body.contains("a test") && readiness.body.contains("WAL"),
        || readiness.body.clone(),
    )?;
    ids.extend(write(&scenario, &[("a", 10)])?);
    // It survives a restart.
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("relay_paused")?;
    ensure(scenario.records()?.len() == 1, || "a paused relay published".to_owned())?;
    database.run(&format!("SELECT outbox_relay.resume('{slot}', '', 'done', {ACTOR})"))?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;
    has_each_once(&scenario.records()?, &ids)
}

#[test]
fn rows_of_a_paused_route_wait_in_order_while_others_flow() -> Outcome {
    let mut scenario = Setup::new("paused_route")
        .set("outbox.other.table", "other")
        .set("outbox.other.topic", "other")
        .start()?;
    let topic = format!("{}.other", scenario.name());
    scenario.create_topic(&topic, 3, &[])?;
    scenario.settings.set("outbox.other.topic", topic.as_str());
    let relay = scenario.streaming_relay()?;
    let slot = scenario.settings.text("postgres.slot").to_owned();
    let database = scenario.database()?;
    pause_outbox(&scenario)?;
    write(&scenario, &[("a", 10), ("a", 10), ("b", 10)])?;
    database.run(
        "INSERT INTO public.other (aggregate_type, aggregate_id, event_type, payload) VALUES ('x', 'k', 'happened', '1')",
    )?;
    scenario.wait_until_confirmed()?;
    let parked = letters(&scenario)?;
    ensure(
        parked.len() >= 4 && parked.iter().all(|(_, state, _)| state == "parked"),
        || format!("{parked:?}"),
    )?;
    database.run(&format!(
        "SELECT outbox_relay.resume('{slot}', 'default', 'done', {ACTOR})"
    ))?;
    wait_until_resolved(&scenario)?;
    let records = scenario.records()?;
    is_in_order(&records)?;
    let all =
        "SELECT array_agg(id::text) FROM (SELECT id FROM public.outbox UNION ALL SELECT id FROM public.other) AS rows";
    let ids: Vec<String> = database.rows(all, &[])?[0].try_get(0)?;
    drop(relay);
    has_each_once(&records, &ids)
}

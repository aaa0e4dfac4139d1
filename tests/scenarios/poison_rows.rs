//! Rows that no decent outbox has: what can be published passes as it is; what cannot halts the line at its row,
//! nothing overtakes it, and a mapping that takes it lets it go on (P3, P7).

use outbox_decoder::Lsn;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::exit_code;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use crate::bad_input::is_halted;

const DOES_NOT_FIT: &str = "row_does_not_fit_mapping";

/// Where the line has to stand.
struct Place {
    /// What is published before it.
    records: usize,
    /// A position behind its row.
    behind: Lsn,
}

/// Writes a row with this value, and more rows, when everything before is confirmed.
fn poison(scenario: &Scenario, writer: &mut Writer, column: &str, value: &str) -> Outcome<Place> {
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?.len();
    let database = scenario.database()?;
    let alter = |change: &str| database.run(&format!("ALTER TABLE public.outbox ALTER COLUMN {column} {change}"));
    alter(&format!("SET DEFAULT {value}"))?;
    writer.write(1)?;
    alter("DROP DEFAULT")?;
    let behind = database.wal_end()?;
    writer.write(10)?;
    Ok(Place { records, behind })
}

/// It says so and counts it once; nothing that is behind the row is published or confirmed.
fn stands_at(place: &Place, scenario: &Scenario, relay: &mut Relay, said: &str) -> Outcome {
    is_halted(relay, DOES_NOT_FIT, said)?;
    let failures = format!("publish_failures_total{{error_type=\"{DOES_NOT_FIT}\"}}");
    let counted = relay.figures()?.count(&failures);
    ensure(counted == 1, || format!("{counted} failures were counted"))?;
    let (records, confirmed) = (scenario.records()?.len(), scenario.confirmed()?);
    let Place {
        records: before,
        behind,
    } = place;
    ensure(records == *before && confirmed < *behind, || {
        format!("{records} records, {before} before the row; {confirmed} is confirmed, and {behind} is behind it")
    })
}

/// A relay that maps a part to another column, or to none, takes over.
fn goes_on(scenario: &mut Scenario, mut relay: Relay, part: &str, column: &str) -> Outcome<Relay> {
    let code = relay.terminate()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    scenario.note_fault()?;
    let key = format!("outbox.default.columns.{part}");
    scenario.settings.set(&key, column);
    scenario.streaming_relay()
}

fn has_all(scenario: &mut Scenario, relay: &Relay, writer: Writer, rows: usize) -> Outcome {
    let report = scenario.verify(relay, &writer.into_history())?;
    ensure(report.rows == rows && report.duplicates == 0, || report.to_string())
}

/// A NULL is a tombstone, which an empty payload is not; and nobody has said that a payload is text.
#[test]
fn payloads_that_are_null_empty_or_no_text_pass_byte_for_byte() -> Outcome {
    let table =
        "CREATE TABLE public.outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregate_type text NOT NULL,
                 aggregate_id text NOT NULL, event_type text NOT NULL, payload bytea)";
    let mut scenario = Setup::new("payloads").sql(table).start()?;
    let relay = scenario.streaming_relay()?;
    let payloads: [Option<Vec<u8>>; 5] = [
        None,
        Some(Vec::new()),
        Some(b"\xff\xfe\xc0\x80\xed\xa0\x80".to_vec()),
        Some((0..=u8::MAX).collect()),
        None,
    ];
    let database = scenario.database()?;
    for payload in &payloads {
        let insert = "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
                      VALUES ('order', 'k', 'happened', $1)";
        database.rows(insert, &[payload])?;
    }
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?.into_iter();
    let values: Vec<_> = records.map(|record| record.value).collect();
    ensure(values == payloads, || format!("{values:?}"))?;
    let lines = relay.unexpected_lines();
    ensure(lines.is_empty(), || format!("unexpected in the log: {lines:?}"))
}

#[test]
fn a_nan_in_a_header_or_a_time_halts_at_its_row_until_the_column_plays_no_part() -> Outcome {
    let table = "CREATE TABLE public.outbox (id uuid PRIMARY KEY, aggregate_type text NOT NULL,
                 aggregate_id text NOT NULL, event_type text NOT NULL, payload json NOT NULL, version numeric,
                 created_at double precision, metadata real)";
    let mut scenario = Setup::new("nan").sql(table).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    for part in ["version", "created_at", "metadata"] {
        // A NULL is nothing of any type.
        writer.write(10)?;
        let place = poison(&scenario, &mut writer, part, "'NaN'")?;
        let said = format!("the {part} of a row of public.outbox cannot be read");
        stands_at(&place, &scenario, &mut relay, &said)?;
        relay = goes_on(&mut scenario, relay, part, "")?;
    }
    has_all(&mut scenario, &relay, writer, 3 * 21)
}

/// What was written as a numeric stays one: that the column is an integer again helps only what is written afterwards.
#[test]
fn a_column_that_is_a_numeric_for_a_while_halts_at_the_first_value_until_it_plays_no_part() -> Outcome {
    let mut scenario = Setup::new("retyped").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let database = scenario.database()?;
    database.run("ALTER TABLE public.outbox ALTER COLUMN version TYPE numeric")?;
    writer.write(10)?;
    let place = poison(&scenario, &mut writer, "version", "7")?;
    database.run("ALTER TABLE public.outbox ALTER COLUMN version TYPE bigint")?;
    writer.write(10)?;
    let said = "the version of a row of public.outbox cannot be read: its type has no rendering here";
    stands_at(&place, &scenario, &mut relay, said)?;
    relay = goes_on(&mut scenario, relay, "version", "")?;
    has_all(&mut scenario, &relay, writer, 41)
}

#[test]
fn a_payload_that_is_retyped_in_mid_stream_passes_in_each_of_its_types() -> Outcome {
    let mut scenario = Setup::new("payload_types").start()?;
    let relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let database = scenario.database()?;
    for kind in ["jsonb", "text", "varchar", "jsonb USING payload::jsonb", "json"] {
        load.wait_for_more(100)?;
        database.run(&format!("ALTER TABLE public.outbox ALTER COLUMN payload TYPE {kind}"))?;
    }
    load.wait_for_more(100)?;
    let report = scenario.verify(&relay, &load.stop()?)?;
    ensure(report.rows >= 600 && report.duplicates == 0, || report.to_string())
}

/// Rows that were written without it lack it for ever, also when it is back.
#[test]
fn a_payload_column_that_is_dropped_for_a_while_halts_at_the_first_row_until_another_one_is_mapped() -> Outcome {
    let mut scenario = Setup::new("no_payload").start()?;
    let mut relay = scenario.streaming_relay()?;
    let database = scenario.database()?;
    let insert = |columns: &str, values: &str| {
        database.run(&format!(
            "INSERT INTO public.outbox (aggregate_type, aggregate_id, {columns}) VALUES ('order', 'k', {values})"
        ))
    };
    insert("event_type, payload", "'first', '1'")?;
    scenario.wait_until_confirmed()?;
    database.run("ALTER TABLE public.outbox DROP COLUMN payload")?;
    insert("event_type", "'second'")?;
    let place = Place {
        records: 1,
        behind: database.wal_end()?,
    };
    database.run("ALTER TABLE public.outbox ADD COLUMN payload json")?;
    insert("event_type, payload", "'third', '3'")?;
    stands_at(&place, &scenario, &mut relay, "public.outbox has no column \"payload\"")?;

    let relay = goes_on(&mut scenario, relay, "payload", "event_type")?;
    scenario.wait_until_confirmed()?;
    let records = scenario.records()?.into_iter();
    let values: Vec<_> = records.map(|record| record.value.unwrap_or_default()).collect();
    ensure(values == [&b"1"[..], b"second", b"third"], || format!("{values:?}"))?;
    let lines = relay.unexpected_lines();
    ensure(lines.is_empty(), || format!("unexpected in the log: {lines:?}"))
}

/// What is done to a row that is there already is no event, whoever has it published.
#[test]
fn updates_deletes_and_truncations_that_are_published_too_change_nothing() -> Outcome {
    let mut scenario = Setup::new("wider").start()?;
    let name = scenario.name().to_owned();
    let database = scenario.database()?;
    database.run(&format!(
        "ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate')"
    ))?;
    let witness = format!("{name}_witness");
    let made = "SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput')::text";
    database.rows(made, &[&witness])?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let statements = [
        "UPDATE public.outbox SET event_type = 'changed', payload = '{}'",
        "UPDATE public.outbox SET id = gen_random_uuid()",
        "DELETE FROM public.outbox WHERE aggregate_id < 'w1-4'",
        "TRUNCATE public.outbox",
    ];
    for identity in ["DEFAULT", "FULL"] {
        database.run(&format!("ALTER TABLE public.outbox REPLICA IDENTITY {identity}"))?;
        for statement in statements {
            writer.begin()?;
            writer.insert(5)?;
            writer.run(statement)?;
            writer.insert(5)?;
            writer.commit()?;
            writer.run(statement)?;
            writer.write(5)?;
        }
    }
    let sent = kinds_sent(&scenario, &witness)?;
    ensure("DITU".chars().all(|kind| sent.contains(kind)), || {
        format!("the server sent only {sent:?}")
    })?;
    has_all(&mut scenario, &relay, writer, 2 * 4 * 15)
}

/// The kinds of messages that a slot gives for the scenario's publication.
fn kinds_sent(scenario: &Scenario, slot: &str) -> Outcome<String> {
    let statement = "SELECT string_agg(DISTINCT chr(get_byte(data, 0)), '')
                     FROM pg_logical_slot_peek_binary_changes($1::text::name, NULL, NULL, 'proto_version', '1',
                         'publication_names', $2::text)";
    let kinds = scenario.database()?.text(statement, &[&slot, &scenario.name()])?;
    Ok(kinds.unwrap_or_default())
}

//! A publication that is changed while the relay streams: neither an error nor a notice tells it, so it has to look.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::PostgresVersion;
use outbox_relay_tests::writer::Writer;

use super::is_halted;

/// Column lists and row filters came with this version.
const LISTS_SINCE: u32 = 15;

const STANDARD: &str = "CREATE TABLE public.outbox (id uuid NOT NULL, aggregate_type text NOT NULL,
    aggregate_id text NOT NULL, event_type text NOT NULL, payload json NOT NULL, metadata jsonb, version bigint,
    created_at timestamptz NOT NULL DEFAULT now())";

/// Publishes rows, changes the publication, waits for the fault, takes the change back, and publishes more.
fn halts_until_undone(label: &str, change: &str, code: &str, hint: &str, undo: &str) -> Outcome {
    let mut scenario = Setup::new(label).sql("CREATE TABLE other (id int)").start()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    alter(&scenario, change)?;
    halted_until(scenario, relay, writer, code, hint, undo)
}

/// The same for a relay that finds the publication changed when it starts.
fn halts_at_start_until_undone(setup: &Setup, change: &str, code: &str, hint: &str, undo: &str) -> Outcome {
    let mut scenario = setup.start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    alter(&scenario, change)?;
    let relay = scenario.relay()?;
    halted_until(scenario, relay, writer, code, hint, undo)
}

fn halted_until(
    mut scenario: Scenario,
    mut relay: Relay,
    mut writer: Writer,
    code: &str,
    hint: &str,
    undo: &str,
) -> Outcome {
    is_halted(&mut relay, code, hint)?;
    alter(&scenario, undo)?;
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.duplicates == 0, || report.to_string())
}

fn alter(scenario: &Scenario, change: &str) -> Outcome {
    let statement = format!("ALTER PUBLICATION {} {change}", scenario.name());
    scenario.database()?.run(&statement)
}

#[test]
fn a_table_taken_out_of_the_publication_in_mid_stream_halts_until_it_is_back() -> Outcome {
    halts_until_undone(
        "taken_out",
        "DROP TABLE public.outbox",
        "publication_without_table",
        "ADD TABLE",
        "ADD TABLE public.outbox",
    )
}

#[test]
fn a_foreign_table_put_into_the_publication_in_mid_stream_halts_until_it_is_out() -> Outcome {
    halts_until_undone(
        "put_in",
        "ADD TABLE public.other",
        "table_not_mapped",
        "[outbox.",
        "DROP TABLE public.other",
    )
}

#[test]
fn a_publication_that_stops_publishing_inserts_in_mid_stream_halts_until_it_does_again() -> Outcome {
    halts_until_undone(
        "no_inserts",
        "SET (publish = 'update')",
        "publication_without_inserts",
        "publish = 'insert'",
        "SET (publish = 'insert')",
    )
}

#[test]
fn a_column_list_that_lacks_a_mapped_column_halts_until_it_is_complete() -> Outcome {
    if PostgresVersion::from_environment()? == PostgresVersion::Major(LISTS_SINCE - 1) {
        return Ok(());
    }
    let unused = "ALTER TABLE public.outbox ADD unused text";
    let listed = "id, aggregate_type, aggregate_id, payload, metadata, version, created_at";
    halts_at_start_until_undone(
        &Setup::new("list").sql(&format!("{STANDARD}; {unused}")),
        &format!("SET TABLE public.outbox ({listed})"),
        "publication_without_column",
        "columns.event_type = \"\"",
        &format!("SET TABLE public.outbox ({listed}, event_type)"),
    )
}

/// It may be meant. So it is said at each start, and nothing else happens.
#[test]
fn rows_that_a_filter_hides_are_not_published_and_that_is_said_at_the_start() -> Outcome {
    let mut scenario = Setup::new("filter").start()?;
    if scenario.servers.postgres()?.major_version < LISTS_SINCE {
        return Ok(());
    }
    let database = scenario.database()?;
    let filter = "SET TABLE public.outbox WHERE (event_type <> 'internal')";
    database.run(&format!("ALTER PUBLICATION {} {filter}", scenario.name()))?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("WHERE");
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    database.run(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', '1', 'internal', '{}')",
    )?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.records == 20, || report.to_string())?;
    let said = relay.log().matches("holds only rows of public.outbox WHERE").count();
    ensure(said == 1, || relay.log_tail())
}

#[test]
fn a_partitioned_table_that_is_published_by_its_partitions_halts_until_it_is_by_its_root() -> Outcome {
    let partition = "CREATE TABLE public.outbox_all PARTITION OF public.outbox DEFAULT";
    halts_at_start_until_undone(
        &Setup::new("by_root").sql(&format!("{STANDARD} PARTITION BY RANGE (created_at); {partition}")),
        "SET (publish_via_partition_root = false)",
        "publication_without_table",
        "publish_via_partition_root = true",
        "SET (publish_via_partition_root = true)",
    )
}

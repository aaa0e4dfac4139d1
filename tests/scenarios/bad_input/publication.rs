//! A publication that is changed while the relay streams: neither an error nor a notice tells it, so it has to look.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::is_halted;

/// Publishes rows, changes the publication, waits for the fault, takes the change back, and publishes more.
fn halts_until_undone(label: &str, change: &str, code: &str, hint: &str, undo: &str) -> Outcome {
    let mut scenario = Setup::new(label).sql("CREATE TABLE other (id int)").start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let publication = format!("ALTER PUBLICATION {}", scenario.name());
    let database = scenario.database()?;
    database.run(&format!("{publication} {change}"))?;
    is_halted(&mut relay, code, hint)?;
    database.run(&format!("{publication} {undo}"))?;
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 20 && report.duplicates == 0, || report.to_string())
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

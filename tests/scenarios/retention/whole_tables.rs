//! Rows that are in no stream: of them nobody knows whether they were published, until somebody says so.

use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

use super::{are_left, purge, purge_all, settle};

#[track_caller]
fn is_unproven(scenario: &Scenario) -> Outcome {
    purge_all(scenario)?.must_refuse("retention_unproven", &["public.outbox", "purge --vouch"])
}

#[test]
fn rows_that_were_there_before_the_slot_stay_until_somebody_vouches_for_them() -> Outcome {
    let mut scenario = Setup::new("before").without_slot().start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(5)?;
    scenario.create_slot()?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    is_unproven(&scenario)?;
    are_left(&scenario, 15)?;
    purge(&scenario, &["--vouch"])?.must_refuse("reason_missing", &["--reason"])?;
    let by_relay = scenario.command(&["purge", "--vouch", "--reason", "x"])?;
    by_relay.must_refuse("role_not_permitted", &[&format!("{}_operator", scenario.name())])?;
    is_unproven(&scenario)?;
    purge(&scenario, &["--vouch", "--reason", "the old relay had them"])?.must(0, &["and are now: 1", "audit: "])?;
    purge_all(&scenario)?.must(0, &["15 rows removed"])?;
    are_left(&scenario, 0)?;
    let why = "SELECT kind || ' ' || why FROM outbox_relay.audit WHERE action = 'retention.vouch'";
    let why = scenario.database()?.text(why, &[])?;
    outbox_relay_tests::failure::ensure(why.as_deref() == Some("administration the old relay had them"), || {
        format!("{why:?}")
    })
}

/// What the old slot had confirmed, and the marks that go by it, say nothing of the new one.
#[test]
fn a_slot_that_is_made_anew_does_not_inherit_what_the_one_before_had_confirmed() -> Outcome {
    let mut scenario = Setup::new("anew").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    relay.terminate()?;
    writer.write(10)?;
    // A mark that only the new slot will be beyond.
    purge(&scenario, &[])?.must(0, &["nothing is old enough"])?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &["is dropped"])?;
    let by_hand = "SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput')::text";
    let name = scenario.name().to_owned();
    scenario.database()?.rows(by_hand, &[&name])?;
    is_unproven(&scenario)?;
    scenario.command(&["slot", "drop", "--yes"])?.must(0, &["is dropped"])?;
    scenario.command(&["slot", "create"])?.must(0, &["starts at"])?;
    is_unproven(&scenario)?;
    are_left(&scenario, 20)
}

#[test]
fn a_table_that_was_out_of_the_publication_for_a_while_is_not_whole_any_more() -> Outcome {
    let mut scenario = Setup::new("out").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &["10 rows removed"])?;
    relay.terminate()?;
    let (database, name) = (scenario.database()?, scenario.name().to_owned());
    database.run(&format!("ALTER PUBLICATION {name} DROP TABLE public.outbox"))?;
    writer.write(10)?;
    database.run(&format!("ALTER PUBLICATION {name} ADD TABLE public.outbox"))?;
    let _relay = scenario.streaming_relay()?;
    writer.write(10)?;
    settle(&scenario)?;
    is_unproven(&scenario)?;
    are_left(&scenario, 20)
}

/// Its rows begin before the table is published, and end afterwards.
#[test]
fn a_table_that_somebody_writes_to_while_it_is_published_is_not_taken_for_an_empty_one() -> Outcome {
    let mut scenario = Setup::new("writing").without_migration().start()?;
    scenario.migrate()?;
    let (database, name) = (scenario.database()?, scenario.name().to_owned());
    database.run(&format!("ALTER PUBLICATION {name} DROP TABLE public.outbox"))?;
    scenario.database()?.rows(
        "SELECT pg_create_logical_replication_slot($1::text::name, 'pgoutput')::text",
        &[&name],
    )?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert(5)?;
    scenario.migrate()?;
    purge_all(&scenario)?.must_refuse("retention_unproven", &[])?;
    writer.commit()?;
    purge_all(&scenario)?.must_refuse("retention_unproven", &[])?;
    are_left(&scenario, 5)
}

#[test]
fn without_a_slot_nothing_is_known_and_nothing_removed() -> Outcome {
    let mut scenario = Setup::new("no_slot").without_slot().start()?;
    Writer::connect(scenario.writer()?)?.write(5)?;
    purge_all(&scenario)?.must_refuse("slot_missing", &[scenario.name()])?;
    let vouch = purge(&scenario, &["--vouch", "--reason", "x"])?;
    vouch.must_refuse("slot_missing", &[scenario.name()])?;
    are_left(&scenario, 5)
}

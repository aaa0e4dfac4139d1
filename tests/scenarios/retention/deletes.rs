//! Applications that want an empty table delete in the transaction that inserts.

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::{Writer, WriterOptions};

use super::{are_left, count, purge, purge_all, settle};

const PASSWORD: &str = "not a secret";

/// A session with the application's rights and no others.
fn application(scenario: &Scenario) -> Outcome<String> {
    let (name, port) = (scenario.name(), scenario.servers.postgres()?.port);
    scenario
        .database()?
        .run(&format!("ALTER ROLE {name}_application LOGIN PASSWORD '{PASSWORD}'"))?;
    Ok(format!(
        "host=127.0.0.1 port={port} dbname={name} user={name}_application password='{PASSWORD}'"
    ))
}

#[test]
fn rows_that_the_application_deletes_in_their_own_transaction_are_published() -> Outcome {
    let setup = Setup::new("own_delete").set("outbox.default.application_may_delete", true);
    let mut scenario = setup.start()?;
    let relay = scenario.streaming_relay()?;
    let options = WriterOptions {
        conninfo: application(&scenario)?,
        ..scenario.writer()?
    };
    let mut writer = Writer::connect(options)?;
    for is_kept in [true, false, true] {
        writer.begin()?;
        writer.insert(5)?;
        writer.run("DELETE FROM public.outbox WHERE id IN (SELECT id FROM public.outbox)")?;
        if is_kept { writer.commit()? } else { writer.roll_back()? }
    }
    are_left(&scenario, 0)?;
    let history = writer.into_history();
    let report = scenario.verify(&relay, &history)?;
    ensure(report.rows == 10, || report.to_string())
}

#[test]
fn the_grant_is_for_deleting_by_id_and_for_nothing_else() -> Outcome {
    for (may_delete, refusal) in [(true, None), (false, Some("42501".to_owned()))] {
        let setup = Setup::new("grant").set("outbox.default.application_may_delete", may_delete);
        let scenario = setup.without_slot().start()?;
        let session = Database::connect(&application(&scenario)?)?;
        let by_id = "DELETE FROM public.outbox WHERE id = gen_random_uuid()";
        let found = session.attempt(by_id)?;
        ensure(found == refusal, || format!("{by_id}: {found:?}"))?;
        for statement in [
            "SELECT payload FROM public.outbox",
            "UPDATE public.outbox SET event_type = 'x'",
            "DELETE FROM public.outbox WHERE aggregate_id = 'x'",
            "TRUNCATE public.outbox",
        ] {
            let found = session.attempt(statement)?;
            ensure(found.as_deref() == Some("42501"), || format!("{statement}: {found:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn what_is_told_of_deliveries_goes_with_the_rows_and_not_before() -> Outcome {
    let mut scenario = Setup::new("state_purged")
        .set("outbox.default.delivery_state", true)
        .start()?;
    let _relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(30)?;
    settle(&scenario)?;
    let database = scenario.database()?;
    let told = || count(&database, "outbox_relay.delivery_state");
    purge(&scenario, &[])?.must(0, &[])?;
    ensure(told()? == 30, || format!("{:?} are told of", told()))?;
    // A transaction that is older keeps the rows, although their events are published before the mark.
    let older = scenario.database()?;
    older.run("BEGIN; SELECT pg_current_xact_id()")?;
    writer.write(5)?;
    scenario.wait_until_confirmed()?;
    purge_all(&scenario)?.must(0, &[])?;
    older.run("COMMIT")?;
    are_left(&scenario, 5)?;
    ensure(told()? == 5, || format!("{:?} are told of", told()))?;
    settle(&scenario)?;
    purge_all(&scenario)?.must(0, &[])?;
    are_left(&scenario, 0)?;
    ensure(told()? == 0, || format!("{:?} are told of", told()))
}

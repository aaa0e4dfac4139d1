//! A server that is not, or not any more, the one that the last relay confirmed on is refused (P7). The advisory row can
//! make a relay refuse; it never moves a position.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

/// Publishes a row, stops, and changes what the next relay finds written there.
fn refused_after(label: &str, change: &str, code: &str) -> Outcome {
    let mut scenario = Setup::new(label).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut first = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    first.terminate()?;
    let confirmed = scenario.confirmed()?;

    writer.write(10)?;
    change_advisory(&scenario, change)?;
    let mut second = scenario.relay()?;
    second.wait_for_fault(code)?;
    ensure(second.liveness()? == 200, || {
        "a refusal is no reason to be restarted".to_owned()
    })?;
    ensure(scenario.confirmed()? == confirmed, || "the slot was moved".to_owned())?;

    let forgotten = scenario.command(&["slot", "forget"])?;
    ensure(forgotten.code == Some(0), || format!("{forgotten:?}"))?;
    second.wait_for_phase("streaming")?;
    let report = scenario.verify(&second, &writer.into_history())?;
    ensure(report.duplicates == 0, || format!("{report}"))
}

fn change_advisory(scenario: &Scenario, change: &str) -> Outcome {
    scenario
        .database()?
        .run(&format!("UPDATE outbox_relay.advisory SET {change}"))
}

#[test]
fn another_cluster_is_refused_until_the_operator_accepts_it() -> Outcome {
    refused_after("identity", "system_identifier = '1'", "server_replaced")
}

#[test]
fn a_server_whose_wal_ends_before_what_was_confirmed_is_refused() -> Outcome {
    refused_after("went_back", "confirmed_lsn = 'FFFF/0'", "server_went_back")
}

#[test]
fn a_server_on_an_earlier_timeline_is_refused() -> Outcome {
    refused_after("timeline", "timeline = 9", "server_went_back")
}

#[test]
fn a_clean_stop_is_noted_and_a_kill_is_not() -> Outcome {
    let mut scenario = Setup::new("goodbye").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    relay.terminate()?;
    let clean = "SELECT clean_stop::text FROM outbox_relay.advisory";
    let noted = scenario.database()?.text(clean, &[])?;
    ensure(noted.as_deref() == Some("true"), || {
        format!("after a clean stop: {noted:?}")
    })?;

    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("slot_active", |active| active >= 1.0)?;
    relay.kill()?;
    let noted = scenario.database()?.text(clean, &[])?;
    ensure(noted.as_deref() == Some("false"), || format!("after a kill: {noted:?}"))
}

//! What one connection owes the next: a state that stays true, a memory, and a confirmation that has arrived (P7, P8).

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

/// Two of them take longer to stream than a clean stop may take.
const LARGE_ROWS: usize = 100_000;

/// The server is in the middle of the next transaction when the relay leaves, and reads no replies while it can send.
#[test]
fn a_stop_in_front_of_a_large_transaction_repeats_nothing() -> Outcome {
    let mut scenario = Setup::new("large").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(LARGE_ROWS)?;
    writer.write(LARGE_ROWS)?;
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 1_000.0)?;
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || {
        format!("a clean stop repeated records: {report}")
    })
}

#[test]
fn a_row_that_halts_the_line_stays_the_reason_over_a_lost_connection() -> Outcome {
    let mut scenario = Setup::new("halted_row").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    let bad = "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
               VALUES ('not a topic name!', '1', 'x', '{}')";
    scenario.database()?.run(bad)?;
    relay.wait_for_fault("row_matches_no_route")?;
    let reconnects = relay.figures()?.get("reconnects_total{peer=\"postgres\"}");
    scenario.database()?.run(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        scenario.name()
    ))?;
    relay.wait_for_figure("reconnects_total{peer=\"postgres\"}", |now| now > reconnects)?;
    relay.wait_for_readiness("the row to be met again", |readiness| {
        readiness.has("row_matches_no_route") && !readiness.has("postgres_unreachable")
    })?;
    writer.write(10)?;
    let lines = relay.log().matches("row_matches_no_route").count();
    ensure(lines == 1, || {
        format!("{lines} lines about one row\n{}", relay.log_tail())
    })?;
    ensure(!relay.log().contains("recovered part=\"row\""), || relay.log_tail())
}

/// Without a memory a restored server could not be told from the old one: better to say so than to run.
#[test]
fn a_relay_that_may_not_keep_its_memory_says_so_and_waits() -> Outcome {
    let mut scenario = Setup::new("no_memory").start()?;
    let right = format!("INSERT, UPDATE ON outbox_relay.advisory {{}} {}", scenario.name());
    let database = scenario.database()?;
    database.run(&format!("REVOKE {}", right.replace("{}", "FROM")))?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.relay()?;
    relay.wait_for_fault("postgres_not_permitted")?;
    database.run(&format!("GRANT {}", right.replace("{}", "TO")))?;
    relay.wait_for_phase("streaming")?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || format!("{report}"))
}

//! One slot, one relay: the slot itself is the lock.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;

#[test]
fn a_second_relay_stands_by_and_takes_over_when_the_first_is_killed() -> Outcome {
    let mut scenario = Setup::new("standby").start()?;
    let load = scenario.load()?;
    let mut first = scenario.streaming_relay()?;
    let mut second = scenario.relay()?;
    let readiness = second.wait_for_phase("standby")?;
    ensure(readiness.status == 503, || {
        format!("a standby is not ready: {readiness:?}")
    })?;
    ensure(
        readiness.has("slot_active") && readiness.body.contains("in use: outbox_relay from"),
        || format!("a standby says who holds the slot: {readiness:?}"),
    )?;
    ensure(second.liveness()? == 200, || "a standby is live".to_owned())?;
    second.wait_for_figure("slot_active", |active| active >= 1.0)?;
    second.wait_for_figure("slot_retained_wal_bytes", |bytes| bytes > 0.0)?;
    first.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    // Before the kill, because the second one takes over at once.
    scenario.note_fault()?;
    first.kill()?;
    second.wait_for_phase("streaming")?;
    second.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    let history = load.stop()?;
    scenario.verify(&second, &history).map(drop)
}

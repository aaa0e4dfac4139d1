//! The relay itself stops: killed, or told to (P1, P8).

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

const KILLS: usize = 20;
const STOPS: usize = 5;

#[test]
fn killing_the_relay_twenty_times_loses_nothing() -> Outcome {
    let mut scenario = Setup::new("kill").start()?;
    let load = scenario.load()?;
    for _ in 0..KILLS {
        let mut relay = scenario.streaming_relay()?;
        let published = f64::from(fastrand::u32(50..500));
        relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= published)?;
        relay.kill()?;
        scenario.note_fault()?;
    }
    let relay = scenario.streaming_relay()?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates > 0, || format!("no kill hit anything: {report}"))
}

/// What a kill repeats was not confirmed before it; where everything is, nothing is repeated.
#[test]
fn killing_a_relay_that_has_confirmed_everything_repeats_nothing() -> Outcome {
    let mut scenario = Setup::new("kill_idle").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..3 {
        let mut relay = scenario.streaming_relay()?;
        writer.write(100)?;
        scenario.wait_until_confirmed()?;
        relay.kill()?;
        scenario.note_fault()?;
    }
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || {
        format!("confirmed records were repeated: {report}")
    })
}

/// Stopped in the middle of a backlog and under load, so that there is something to drain.
#[test]
fn stopping_the_relay_five_times_repeats_nothing() -> Outcome {
    let mut scenario = Setup::new("stop").start()?;
    let load = scenario.load()?;
    let mut backlog = Writer::connect(scenario.writer()?)?;
    let mut interrupted = 0;
    for _ in 0..STOPS {
        for _ in 0..50 {
            backlog.write(200)?;
        }
        let mut relay = scenario.streaming_relay()?;
        let published = f64::from(fastrand::u32(50..2_000));
        relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= published)?;
        let in_flight = relay.figures()?.get("in_flight_events");
        let code = relay.terminate()?;
        interrupted += usize::from(in_flight > 0.0);
        ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    }
    let relay = scenario.streaming_relay()?;
    let mut history = load.stop()?;
    history.merge(backlog.into_history());
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || {
        format!("a clean stop repeated records: {report}")
    })?;
    ensure(interrupted > 0, || format!("no stop had anything to drain: {report}"))
}

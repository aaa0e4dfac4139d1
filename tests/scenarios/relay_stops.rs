//! The relay itself stops: killed, or told to (P1, P8).

use nix::sys::signal::Signal;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::load::Load;
use outbox_relay_tests::program::exit_code;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::verifier::Outage;
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

/// A relay with records that Kafka does not take any more; nothing of them may be confirmed.
fn cut_off(scenario: &mut Scenario, load: &Load) -> Outcome<Relay> {
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    scenario.note_fault()?;
    scenario.servers.own_kafka()?.kill(0)?;
    let from = scenario.database()?.wal_end()?;
    load.wait_for_more(500)?;
    relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    relay.wait_for_fault("kafka_unreachable")?;
    let confirmed = scenario.confirmed()?;
    scenario.outages.push(Outage { from, confirmed });
    Ok(relay)
}

/// After the stop: what was in flight comes from the slot again, and nothing is lost.
fn comes_back(scenario: &mut Scenario, load: Load) -> Outcome {
    let confirmed = scenario.confirmed()?;
    if let Some(outage) = scenario.outages.last_mut() {
        outage.confirmed = confirmed;
    }
    scenario.servers.own_kafka()?.start_again(0)?;
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 300.0)?;
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

#[test]
fn sigint_drains_as_sigterm_does() -> Outcome {
    let mut scenario = Setup::new("interrupted").start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for _ in 0..50 {
        writer.write(200)?;
    }
    let mut relay = scenario.streaming_relay()?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 200.0)?;
    relay.signal(Signal::SIGINT)?;
    let code = relay.wait_for_exit()?;
    let is_drained = code == Some(0) && relay.log().contains("everything taken is published and confirmed");
    ensure(is_drained, || format!("exit code {code:?}\n{}", relay.log_tail()))?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || {
        format!("a clean stop repeated records: {report}")
    })
}

/// A log collector that reads objects must not meet a bare line among them, least of all the last one.
#[test]
fn a_stop_that_did_not_drain_is_told_in_the_format_of_the_log() -> Outcome {
    let setup = Setup::new("undrained_json").without_topic();
    let setup = setup.set("log.format", "json").set("pipeline.drain_timeout_ms", 100);
    let mut scenario = setup.start()?;
    let mut relay = scenario.streaming_relay()?;
    Writer::connect(scenario.writer()?)?.write(3)?;
    relay.wait_for_fault("topic_missing")?;
    let code = relay.terminate()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    let log = relay.log();
    let lines: Vec<serde_json::Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let last = lines.last().cloned().unwrap_or_default();
    let is_told = last["level"] == "WARN" && last["in_flight"].as_u64() > Some(0);
    ensure(is_told, || format!("the last line is {last}"))
}

#[test]
fn a_stop_without_kafka_ends_after_the_drain_timeout_with_its_own_code_and_loses_nothing() -> Outcome {
    let setup = Setup::new("stop_cut_off").private_kafka();
    let mut scenario = setup.set("pipeline.drain_timeout_ms", 3_000).start()?;
    let load = scenario.load()?;
    let mut relay = cut_off(&mut scenario, &load)?;
    relay.signal(Signal::SIGTERM)?;
    relay.wait_for_phase("draining")?;
    let code = relay.wait_for_exit()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    let log = relay.log();
    ensure(
        log.contains("records in flight: ") && log.contains("nothing is lost"),
        || relay.log_tail(),
    )?;
    comes_back(&mut scenario, load)
}

/// A hundred records at a time take long for it.
#[test]
fn a_stop_inside_a_huge_transaction_ends_after_the_drain_timeout_and_the_transaction_comes_again() -> Outcome {
    let setup = Setup::new("stop_huge").set("pipeline.in_flight_records_max", 100);
    let mut scenario = setup.set("pipeline.drain_timeout_ms", 50).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    for _ in 0..100 {
        writer.insert(1_000)?;
    }
    writer.commit()?;
    relay.wait_for_figure("events_acked_total", |records| records >= 100.0)?;
    relay.signal(Signal::SIGTERM)?;
    let code = relay.wait_for_exit()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    scenario.note_fault()?;
    let published = scenario.records()?.len();
    ensure((100..100_000).contains(&published), || format!("{published} records"))?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    let possible = relay.figures()?.count("possible_duplicates_total");
    ensure(report.duplicates >= published && possible >= report.duplicates, || {
        format!("{published} records were there, {possible} possible duplicates: {report}")
    })
}

/// With ten minutes to drain, nothing but the second signal can end it.
#[test]
fn a_second_signal_ends_the_relay_at_once_and_loses_nothing() -> Outcome {
    let setup = Setup::new("second_signal").private_kafka();
    let mut scenario = setup.set("pipeline.drain_timeout_ms", 600_000).start()?;
    let load = scenario.load()?;
    let mut relay = cut_off(&mut scenario, &load)?;
    relay.signal(Signal::SIGTERM)?;
    relay.wait_for_phase("draining")?;
    relay.signal(Signal::SIGINT)?;
    let code = relay.wait_for_exit()?;
    ensure(code == Some(exit_code("left_at_once")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    ensure(relay.log().contains("second signal"), || relay.log_tail())?;
    comes_back(&mut scenario, load)
}

/// Neither a relay that never reached PostgreSQL nor one that stood by has published anything.
#[test]
fn a_relay_that_took_nothing_does_not_say_that_it_published_everything() -> Outcome {
    let mut scenario = Setup::new("untouched").start()?;
    let _owner = scenario.streaming_relay()?;
    let mut standby = scenario.relay()?;
    standby.wait_for_phase("standby")?;
    took_nothing(&mut standby)?;
    scenario.settings.set("postgres.port", free_port()?);
    let mut unconnected = scenario.relay()?;
    unconnected.wait_for_fault("postgres_unreachable")?;
    took_nothing(&mut unconnected)
}

fn took_nothing(relay: &mut Relay) -> Outcome {
    let code = relay.terminate()?;
    let log = relay.log();
    let is_told = log.contains("had taken nothing from the slot")
        && !["everything taken", "is lost"]
            .iter()
            .any(|untrue| log.contains(untrue));
    ensure(code == Some(0) && is_told, || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })
}

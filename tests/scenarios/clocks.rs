//! System clocks that are wrong and system clocks that are set: the relay's own clock decides nothing.

use outbox_relay_tests::clock::Clock;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

const HOUR_S: i64 = 3_600;
const TEN_YEARS_S: i64 = 10 * 365 * 24 * HOUR_S;
const HALF_AN_HOUR_S: f64 = 1_800.0;
/// Any number that leads to the first days of 1970.
const TO_1970_S: i64 = -1_790_000_000;

/// Each is set while the relay runs, the later ones far back.
const CLOCKS_S: [i64; 6] = [HOUR_S, -HOUR_S, TEN_YEARS_S, -TEN_YEARS_S, 0, TO_1970_S];

#[test]
fn whatever_the_system_clock_is_set_to_everything_passes_and_no_time_is_negative() -> Outcome {
    let mut scenario = Setup::new("clock").start()?;
    let (clock, mut relay) = start(&mut scenario)?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    for off_by_s in CLOCKS_S {
        clock.set(off_by_s)?;
        writer.write(50)?;
        scenario.wait_until_confirmed()?;
        reconnect(&scenario, &mut relay)?;
        writer.write(50)?;
        scenario.wait_until_confirmed()?;
        judge(&relay, off_by_s)?;
    }
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || format!("records were repeated: {report}"))
}

/// librdkafka waits for times of the system clock: set back, they would be there only in ten years.
#[test]
fn a_broker_that_comes_back_is_found_although_the_system_clock_was_set_back() -> Outcome {
    let mut scenario = Setup::new("clock_back").private_kafka().start()?;
    let (clock, mut relay) = start(&mut scenario)?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    // Far back; and from where it should not have been to where it is right.
    for (before_s, after_s) in [(0, -TEN_YEARS_S), (HOUR_S, 0)] {
        clock.set(before_s)?;
        writer.write(10)?;
        scenario.wait_until_confirmed()?;
        scenario.servers.own_kafka()?.kill(0)?;
        writer.write(10)?;
        relay.wait_for_fault("kafka_unreachable")?;
        clock.set(after_s)?;
        scenario.servers.own_kafka()?.start_again(0)?;
        relay.wait_for_phase("streaming")?;
        writer.write(10)?;
    }
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

fn start(scenario: &mut Scenario) -> Outcome<(Clock, Relay)> {
    let clock = Clock::make(&scenario.file(""))?;
    let environment = clock.environment()?;
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut relay = scenario.relay_with(&environment)?;
    relay.wait_for_phase("streaming")?;
    relay.may_show("postgres_unreachable");
    relay.may_show("postgres_refused");
    Ok((clock, relay))
}

fn reconnect(scenario: &Scenario, relay: &mut Relay) -> Outcome {
    let before = relay.figures()?.get("reconnects_total{peer=\"postgres\"}");
    scenario.database()?.run(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{}'",
        scenario.name()
    ))?;
    relay.wait_for_figure("reconnects_total{peer=\"postgres\"}", |now| now > before)?;
    relay.wait_for_phase("streaming").map(drop)
}

/// The scraper looks all along whether a sum goes back, which a negative time would make it do.
fn judge(relay: &Relay, off_by_s: i64) -> Outcome {
    let figures = relay.figures()?;
    // The relay says when it heard the server by its own clock, and when a commit was by the server's.
    let heard = figures.get("last_message_timestamp_seconds");
    let acknowledged = figures.get("last_acked_commit_timestamp_seconds");
    #[allow(clippy::cast_precision_loss, reason = "some years in seconds")]
    let is_set =
        (heard - acknowledged - off_by_s as f64).abs() < HALF_AN_HOUR_S || off_by_s == TO_1970_S && heard < 1e8;
    ensure(is_set && figures.get("commit_to_ack_seconds_sum") >= 0.0, || {
        format!("{off_by_s} s off: last acknowledged at {acknowledged}, last heard at {heard}")
    })
}

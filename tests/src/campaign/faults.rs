//! Rounds in which a process is killed or stopped.

use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::Round;
use super::probe::Probe;
use crate::failure::{Outcome, ensure};
use crate::load::Load;
use crate::relay::Relay;
use crate::scenario::Scenario;
use crate::setup::Setup;
use crate::stack::StopMode;
use crate::wait::wait_for;

pub(super) const ACKNOWLEDGED: &str = "events_acked_total";

/// Spread over three brokers.
const PARTITIONS: i32 = 6;
/// Of three: one may die.
const TWO_IN_SYNC: (&str, &str) = ("min.insync.replicas", "2");

fn of_three_brokers(name: &str) -> Outcome<Scenario> {
    let setup = Setup::new(name).three_brokers().partitions(PARTITIONS);
    setup.topic_config(TWO_IN_SYNC.0, TWO_IN_SYNC.1).start()
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn publish_more(relay: &mut Relay, records: f64) -> Outcome {
    let before = relay.figures()?.get(ACKNOWLEDGED);
    relay.wait_for_figure(ACKNOWLEDGED, |now| now >= before + records)
}

/// The fault is over: from now on it is measured until more than `before` are acknowledged.
pub(super) fn recover(relay: &mut Relay, before: f64, round: &mut Round) -> Outcome {
    let began = Instant::now();
    relay.wait_for_figure(ACKNOWLEDGED, |now| now > before)?;
    round.recovery_ms.push(millis(began));
    round.faults += 1;
    Ok(())
}

/// Judges the round; a relay's warnings are the business of the scenarios, not of this.
pub(super) fn finish(mut scenario: Scenario, relay: &Relay, load: Load, round: Round) -> Outcome<Round> {
    let history = load.stop()?;
    let report = scenario.report(relay, &history)?;
    Ok(Round { report, ..round })
}

pub(super) fn kill_relays(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = Setup::new("c_kill").start()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        let began = Instant::now();
        let mut relay = scenario.relay()?;
        relay.wait_for_figure(ACKNOWLEDGED, |acknowledged| acknowledged > 0.0)?;
        round.recovery_ms.push(millis(began));
        thread::sleep(Duration::from_millis(random.u64(0..2_500)));
        relay.kill()?;
        scenario.note_fault()?;
        round.faults += 1;
    }
    let relay = scenario.streaming_relay()?;
    finish(scenario, &relay, load, round)
}

pub(super) fn stop_relays(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = Setup::new("c_stop").start()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        let mut relay = scenario.relay()?;
        relay.wait_for_figure(ACKNOWLEDGED, |acknowledged| acknowledged > 0.0)?;
        thread::sleep(Duration::from_millis(random.u64(0..1_000)));
        let code = relay.terminate()?;
        ensure(code == Some(0), || format!("exit code {code:?}\n{}", relay.log_tail()))?;
        round.faults += 1;
    }
    // Not noted as a fault: whatever repeats after a clean stop is a violation.
    let relay = scenario.streaming_relay()?;
    finish(scenario, &relay, load, round)
}

pub(super) fn kill_brokers(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = of_three_brokers("c_brokers")?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 3,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 500.0)?;
        scenario.note_fault()?;
        thread::sleep(Duration::from_millis(random.u64(0..1_000)));
        let node = random.usize(0..3);
        scenario.servers.own_kafka()?.kill(node)?;
        let began = Instant::now();
        // More than can have been on the way: records are written without the third.
        publish_more(&mut relay, 1_500.0)?;
        round.recovery_ms.push(millis(began));
        scenario.servers.own_kafka()?.start_again(node)?;
        round.faults += 1;
    }
    publish_more(&mut relay, 500.0)?;
    finish(scenario, &relay, load, round)
}

/// The same, but measured from when every partition takes somebody else's records again until all is published that was
/// committed by then: what the relay adds to the brokers' own time.
pub(super) fn kill_leaders(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = of_three_brokers("c_leaders")?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut probe = Probe::of(&scenario, PARTITIONS, &[TWO_IN_SYNC])?;
    let database = scenario.database()?;
    let mut round = Round {
        brokers: 3,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 500.0)?;
        scenario.note_fault()?;
        thread::sleep(Duration::from_millis(random.u64(0..1_000)));
        let node = random.usize(0..3);
        scenario.servers.own_kafka()?.kill(node)?;
        probe.wait_until_taken()?;
        let (began, committed) = (Instant::now(), database.wal_end()?.as_u64());
        wait_for("everything committed by now to be acknowledged", || {
            let figures = relay.figures().map_err(|failure| failure.to_string())?;
            match u64::try_from(figures.count("acked_lsn_bytes")) {
                Ok(acknowledged) if acknowledged >= committed => Ok(()),
                other => Err(format!("{other:?} of {committed}")),
            }
        })?;
        round.recovery_ms.push(millis(began));
        round.faults += 1;
        scenario.servers.own_kafka()?.start_again(node)?;
        // Until it leads some again, so that the next one hits something.
        probe.wait_until_taken()?;
    }
    publish_more(&mut relay, 500.0)?;
    finish(scenario, &relay, load, round)
}

pub(super) fn kafka_outages(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = Setup::new("c_outage").private_kafka().start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut probe = Probe::of(&scenario, 1, &[])?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 500.0)?;
        scenario.note_fault()?;
        scenario.servers.own_kafka()?.kill(0)?;
        thread::sleep(Duration::from_millis(random.u64(500..10_000)));
        relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
        let before = relay.figures()?.get(ACKNOWLEDGED);
        scenario.servers.own_kafka()?.start_again(0)?;
        probe.wait_until_taken()?;
        recover(&mut relay, before, &mut round)?;
    }
    publish_more(&mut relay, 500.0)?;
    finish(scenario, &relay, load, round)
}

pub(super) fn kill_postgres(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = Setup::new("c_postgres").private_postgres(&[]).start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 300.0)?;
        thread::sleep(Duration::from_millis(random.u64(0..1_000)));
        let mode = if random.bool() {
            StopMode::Immediate
        } else {
            StopMode::Kill
        };
        scenario.servers.own_postgres()?.stop(mode)?;
        relay.wait_for_fault("postgres_unreachable")?;
        let before = relay.figures()?.get(ACKNOWLEDGED);
        scenario.servers.own_postgres()?.start_again()?;
        recover(&mut relay, before, &mut round)?;
    }
    // Not noted as faults: the relay that lives through a crash repeats nothing.
    publish_more(&mut relay, 300.0)?;
    finish(scenario, &relay, load, round)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    Relay,
    Postgres,
    Broker,
}

/// Each stands still for up to three times as long as the others wait for it.
pub(super) fn freezes(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let setup = Setup::new("c_freeze").private_kafka().private_postgres(&[]);
    let setup = setup.set("postgres.wal_sender_timeout_ms", 3_000);
    let setup = setup.set("kafka.properties.\"socket.timeout.ms\"", 2_000);
    let mut scenario = setup.set("kafka.properties.\"request.timeout.ms\"", 1_500).start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 300.0)?;
        scenario.note_fault()?;
        let party = [Party::Relay, Party::Postgres, Party::Broker][random.usize(..3)];
        match party {
            Party::Relay => relay.freeze()?,
            Party::Postgres => scenario.servers.own_postgres()?.freeze()?,
            Party::Broker => scenario.servers.own_kafka()?.freeze(0)?,
        }
        thread::sleep(Duration::from_millis(random.u64(500..9_000)));
        if party == Party::Broker {
            relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
        }
        match party {
            Party::Relay => relay.thaw()?,
            Party::Postgres => scenario.servers.own_postgres()?.thaw()?,
            Party::Broker => scenario.servers.own_kafka()?.thaw(0)?,
        }
        let before = relay.figures()?.get(ACKNOWLEDGED);
        recover(&mut relay, before, &mut round)?;
    }
    publish_more(&mut relay, 300.0)?;
    finish(scenario, &relay, load, round)
}

pub(super) fn takeovers(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let mut scenario = Setup::new("c_takeover").start()?;
    let load = scenario.load()?;
    let mut owner = scenario.streaming_relay()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        let mut standby = scenario.relay()?;
        standby.wait_for_phase("standby")?;
        publish_more(&mut owner, 200.0)?;
        thread::sleep(Duration::from_millis(random.u64(0..1_000)));
        // A standby may be quicker than whoever looks at what was there: first nothing may move any more.
        owner.freeze()?;
        scenario.note_fault()?;
        owner.kill()?;
        let began = Instant::now();
        standby.wait_for_figure(ACKNOWLEDGED, |acknowledged| acknowledged > 0.0)?;
        round.recovery_ms.push(millis(began));
        round.faults += 1;
        owner = standby;
    }
    publish_more(&mut owner, 200.0)?;
    finish(scenario, &owner, load, round)
}

//! Rounds in which the network between the relay and one of its servers is disturbed.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::Round;
use super::faults::{ACKNOWLEDGED, finish, publish_more, recover};
use crate::failure::{Outcome, ensure};
use crate::setup::Setup;
use crate::stack::free_port;
use crate::weather::{Stretch, Weather};

/// The server gives a silent relay up after this, and the relay a silent server.
const WAL_SENDER_TIMEOUT_MS: u64 = 3_000;

fn any_weather(random: &mut Rng) -> Weather {
    match random.u8(..7) {
        0 => Weather::Cut,
        1 => Weather::CutInside,
        2 => Weather::BlackHole,
        3 => Weather::Deaf,
        4 => Weather::Mute,
        5 => Weather::Late(Duration::from_millis(100)),
        _ => Weather::Late(Duration::from_millis(500)),
    }
}

pub(super) fn faults(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let (listen, advertised) = (free_port()?, free_port()?);
    let mut scenario = Setup::new("c_network").kafka_detour(listen, advertised).start()?;
    let to_kafka = Stretch::open(advertised, format!("127.0.0.1:{listen}").parse()?)?;
    let server = format!("127.0.0.1:{}", scenario.servers.postgres()?.port).parse()?;
    let to_postgres = Stretch::open(0, server)?;
    let settings = &mut scenario.settings;
    settings.set("kafka.bootstrap_servers", format!("127.0.0.1:{advertised}"));
    settings.set("postgres.port", to_postgres.port());
    settings.set("postgres.wal_sender_timeout_ms", WAL_SENDER_TIMEOUT_MS);
    settings.set("postgres.connect_timeout_ms", 2_000);
    settings.set("kafka.properties.\"socket.timeout.ms\"", 2_000);
    settings.set("kafka.properties.\"request.timeout.ms\"", 1_500);

    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for _ in 0..faults {
        publish_more(&mut relay, 300.0)?;
        scenario.note_fault()?;
        let stretch = if random.bool() { &to_postgres } else { &to_kafka };
        let touched = stretch.touched();
        stretch.set(any_weather(random));
        thread::sleep(Duration::from_millis(random.u64(500..8_000)));
        ensure(stretch.touched() > touched, || "the weather touched nothing".to_owned())?;
        stretch.set(Weather::Clear);
        let before = relay.figures()?.get(ACKNOWLEDGED);
        recover(&mut relay, before, &mut round)?;
    }
    publish_more(&mut relay, 300.0)?;
    finish(scenario, &relay, load, round)
}

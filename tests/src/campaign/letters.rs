//! Rounds in which the relay is killed while rows are set aside, and while they are published from there.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::Round;
use super::faults::ACKNOWLEDGED;
use crate::failure::{Outcome, ensure};
use crate::scenario::Scenario;
use crate::setup::Setup;
use crate::wait::wait_for;
use crate::writer::Writer;

/// What the producer takes: a row above it is refused without asking a broker.
const MESSAGE_MAX: &str = "kafka.properties.\"message.max.bytes\"";
const SMALL: i64 = 20_000;
const LARGE: i64 = 1_000_000;
const TOO_LARGE_BYTES: usize = 30_000;
/// From every third relay on all rows can be published, and those set aside are redriven.
const MENDED_EVERY: usize = 3;

pub(super) fn kill_relays(random: &mut Rng, faults: usize) -> Outcome<Round> {
    let setup = Setup::new("c_letters").set("outbox.default.on_defect", "set_aside");
    let mut scenario = setup.set(MESSAGE_MAX, SMALL).start()?;
    let load = scenario.load()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut round = Round {
        brokers: 1,
        ..Round::default()
    };
    for nth in 0..faults {
        let is_mended = nth % MENDED_EVERY == MENDED_EVERY - 1;
        scenario
            .settings
            .set(MESSAGE_MAX, if is_mended { LARGE } else { SMALL });
        for _ in 0..10 {
            write(&mut writer, random)?;
        }
        if is_mended {
            redrive(&scenario)?;
        }
        let mut relay = scenario.relay()?;
        relay.wait_for_figure(ACKNOWLEDGED, |acknowledged| acknowledged > 0.0)?;
        thread::sleep(Duration::from_millis(random.u64(0..1_500)));
        relay.kill()?;
        scenario.note_fault()?;
        round.faults += 1;
    }
    scenario.settings.set(MESSAGE_MAX, LARGE);
    let relay = scenario.streaming_relay()?;
    scenario.wait_until_confirmed()?;
    wait_for("all that was set aside to be published", || {
        redrive(&scenario).map_err(|failure| failure.to_string())?;
        match unresolved(&scenario).map_err(|failure| failure.to_string())?.as_str() {
            "0" => Ok(()),
            left => Err(format!("{left} letters are left")),
        }
    })?;
    let letters = scenario
        .database()?
        .text("SELECT count(*)::text FROM outbox_relay.dead_letters", &[])?;
    ensure(letters.as_deref() != Some("0"), || "nothing was set aside".to_owned())?;
    let mut history = load.stop()?;
    history.merge(writer.into_history());
    let report = scenario.report(&relay, &history)?;
    Ok(Round { report, ..round })
}

/// One transaction, of whose rows some are too large.
fn write(writer: &mut Writer, random: &mut Rng) -> Outcome {
    writer.begin()?;
    let text = |_| {
        if random.u8(..8) == 0 {
            "x".repeat(TOO_LARGE_BYTES)
        } else {
            "y".to_owned()
        }
    };
    let texts = (0..6).map(text).collect();
    writer.insert_payloads(texts)?;
    writer.commit()
}

fn redrive(scenario: &Scenario) -> Outcome {
    let slot = scenario.settings.text("postgres.slot");
    scenario.database()?.run(&format!(
        "SELECT outbox_relay.letters_redrive('{slot}', array_agg(letter_id), 'mended', '{{\"name\": \"campaign\"}}')
         FROM outbox_relay.dead_letters WHERE state = 'failed' HAVING count(*) > 0"
    ))
}

fn unresolved(scenario: &Scenario) -> Outcome<String> {
    let count = "SELECT count(*)::text FROM outbox_relay.dead_letters WHERE state NOT IN ('redriven', 'discarded')";
    Ok(scenario.database()?.text(count, &[])?.unwrap_or_default())
}

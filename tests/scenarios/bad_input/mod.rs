//! Bad input: one clear line that says what, why and what to do; a waiting state or a documented exit code; nothing lost.

mod configuration;
mod database;
mod kafka;
mod protocol;
mod publication;
pub(crate) mod server;
mod size;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;

/// Waits until the relay is halted for this reason: not ready, alive and live, one log line, and a hint for a person.
pub(crate) fn is_halted(relay: &mut Relay, code: &str, hint: &str) -> Outcome {
    let readiness = relay.wait_for_fault(code)?;
    let body = &readiness.body;
    ensure(readiness.status == 503 && readiness.phase() == "halted", || {
        format!("{} {body}", readiness.status)
    })?;
    ensure(body.contains(hint), || format!("{hint:?} is not in: {body}"))?;
    ensure(relay.liveness()? == 200, || "the relay is not live".to_owned())?;
    let series = relay.figures()?.sum_of(&format!("fault{{code=\"{code}\""));
    ensure(series > 0.0, || format!("no series of the gauge shows {code}"))?;
    let log = relay.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(code)).collect();
    ensure(matches!(lines[..], [line] if line.contains(hint)), || {
        format!("{} log lines about {code}, with {hint:?}:\n{log}", lines.len())
    })
}

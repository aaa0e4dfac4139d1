//! PostgreSQL gives up a walsender whose client is silent for too long.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::verifier::Outage;
use outbox_relay_tests::wait::wait_for;

const TIMEOUT_MS: u32 = 2_000;

/// Nothing is acknowledged and the budget is used up, so the relay reads nothing and has no progress to report: for
/// three times as long as the server waits, it has to be heard all the same.
#[test]
fn status_updates_never_starve_while_kafka_stands_still() -> Outcome {
    let setup = Setup::new("starve").private_kafka();
    let setup = setup.set("postgres.wal_sender_timeout_ms", TIMEOUT_MS);
    let mut scenario = setup.set("pipeline.in_flight_bytes_max", 65_536).start()?;
    let mut relay = scenario.streaming_relay()?;
    let load = scenario.load()?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 500.0)?;
    scenario.note_fault()?;
    scenario.servers.own_kafka()?.freeze(0)?;
    let (database, from) = (scenario.database()?, scenario.database()?.wal_end()?);
    relay.may_show("kafka_unreachable");
    relay.may_show("acknowledgements_stalled");
    let frozen_at: f64 = database.text(CLOCK, &[])?.unwrap_or_default().parse()?;
    wait_for("three timeouts of the server to pass", || {
        let now = database.text(CLOCK, &[]).map_err(|failure| failure.to_string())?;
        let passed = now.unwrap_or_default().parse::<f64>().unwrap_or_default() - frozen_at;
        let has_passed = passed * 1_000.0 >= 3.0 * f64::from(TIMEOUT_MS);
        has_passed.then_some(()).ok_or_else(|| format!("{passed} s"))
    })?;
    let figures = relay.figures()?;
    // It reads on when a quarter of the budget is free.
    let (used, budget) = (figures.get("in_flight_bytes"), figures.get("in_flight_bytes_max"));
    ensure(used > 0.75 * budget, || format!("{used} of {budget} bytes: it reads"))?;
    scenario.outages.push(Outage {
        from,
        confirmed: scenario.confirmed()?,
    });
    scenario.servers.own_kafka()?.thaw(0)?;
    let history = load.stop()?;
    // A relay that does not read may see only now that the server has given it up.
    scenario.wait_until_confirmed()?;
    let lost = relay.figures()?.count("reconnects_total{peer=\"postgres\"}");
    ensure(lost == 0, || format!("{lost} lost connections\n{}", relay.log_tail()))?;
    scenario.verify(&relay, &history).map(drop)
}

const CLOCK: &str = "SELECT extract(epoch FROM clock_timestamp())::text";

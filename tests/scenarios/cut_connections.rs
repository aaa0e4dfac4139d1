//! The connection to `PostgreSQL` is cut again and again (P1, P3): the server sends again, the relay recognises it.

use std::net::{Ipv4Addr, SocketAddr};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::proxy::Proxy;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::writer::Writer;

const CUTS: usize = 4;
/// Rows of one transaction, and how many of them are acknowledged between two cuts.
const ROWS: usize = 30_000;
const ROWS_BETWEEN: f64 = 500.0;
/// So long that the buffers on the way, which reach the relay in spite of the cut, hold few of them.
const ROW_BYTES: usize = 1_000;
/// So small that the transaction is under way for as long as it takes to cut it.
const BUDGET: usize = 20;
const ACKNOWLEDGED: &str = "events_acked_total";
const RECONNECTS: &str = "reconnects_total{peer=\"postgres\"}";

#[test]
fn cutting_the_connection_in_mid_transaction_loses_and_repeats_nothing() -> Outcome {
    let mut scenario = Setup::new("cut")
        .set("pipeline.in_flight_records_max", BUDGET)
        .start()?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, scenario.servers.postgres()?.port));
    let door = Proxy::open(free_port()?, server, Vec::new())?;
    scenario.settings.set("postgres.port", door.port());
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.begin()?;
    writer.insert_payloads(vec!["x".repeat(ROW_BYTES); ROWS])?;
    writer.commit()?;
    let load = scenario.load()?;
    let mut relay = scenario.relay()?;
    relay.may_show("postgres_unreachable");
    for _ in 0..CUTS {
        cut(&door, &mut relay)?;
    }
    let mut history = load.stop()?;
    history.merge(writer.into_history());
    let report = scenario.verify(&relay, &history)?;
    let possible = relay.figures()?.get("possible_duplicates_total");
    ensure(report.duplicates == 0 && possible == 0.0, || {
        format!("a lost connection repeated records: {possible} said, {report}")
    })
}

/// Rows are only ever added: if some are missing after the cut, the transaction was open at the cut.
fn cut(door: &Proxy, relay: &mut Relay) -> Outcome {
    let figures = relay.figures().unwrap_or_default();
    let (acknowledged, reconnects) = (figures.get(ACKNOWLEDGED), figures.get(RECONNECTS));
    relay.wait_for_figure(ACKNOWLEDGED, |now| now >= acknowledged + ROWS_BETWEEN)?;
    door.cut();
    let acknowledged = relay.figures()?.count(ACKNOWLEDGED);
    ensure(acknowledged + BUDGET < ROWS, || {
        format!("the transaction was not open at the cut: {acknowledged} rows of it are acknowledged")
    })?;
    relay.wait_for_figure(RECONNECTS, |now| now > reconnects)
}

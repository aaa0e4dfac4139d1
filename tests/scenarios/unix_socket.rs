//! PostgreSQL on the same host, reached without a network.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;

/// With `verify-full`, as by default: there is nobody in between whose certificate could be asked for.
#[test]
fn a_relay_on_the_unix_socket_publishes_everything() -> Outcome {
    let mut scenario = Setup::new("unix").start()?;
    let folder = scenario.servers.postgres()?.socket_dir.display().to_string();
    scenario.settings.set("postgres.host", folder);
    scenario.settings.set("postgres.tls_mode", "verify-full");
    let load = scenario.load()?;
    let mut relay = scenario.streaming_relay()?;
    let local = "SELECT count(*)::text FROM pg_stat_activity WHERE usename = $1 AND client_addr IS NULL";
    let local = scenario.database()?.text(local, &[&scenario.name()])?;
    ensure(local.as_deref() == Some("2"), || {
        format!("{local:?} connections over the socket")
    })?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= 1_000.0)?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    ensure(report.duplicates == 0, || report.to_string())
}

//! Several names for the server: the first that will do.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::writer::Writer;

#[test]
fn a_host_that_is_down_is_passed_over_for_the_next() -> Outcome {
    let mut scenario = Setup::new("hosts").start()?;
    let here = format!("127.0.0.1:{}", scenario.servers.postgres()?.port);
    let closed = format!("127.0.0.1:{}", free_port()?);
    scenario
        .settings
        .set("postgres.host", vec![closed.clone(), here.clone()]);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history())?;

    scenario.settings.set("postgres.host", vec![closed.clone()]);
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("postgres_unreachable")?;
    ensure(readiness.body.contains(&closed), || format!("{readiness:?}"))
}

//! A connection pooler between the relay and its server.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{Pooler, PoolerUser};
use outbox_relay_tests::writer::Writer;

use crate::bad_input::is_halted;

/// It refuses what makes a connection a walsender's; or ignores it, so that the session knows no such command; or gives
/// each transaction another session, where the statements of the one before are unknown.
const POOLERS: [(&str, &str); 3] = [
    ("", "FATAL 08P01"),
    ("ignore_startup_parameters = replication, options", "ERROR 42601"),
    (
        "ignore_startup_parameters = replication, options\npool_mode = transaction\nserver_round_robin = 1",
        "ERROR 26000",
    ),
];

#[test]
fn a_pooler_in_the_way_is_recognised_and_the_servers_own_address_asked_for() -> Outcome {
    let mut scenario = Setup::new("pooler").start()?;
    let server = scenario.servers.postgres()?.clone();
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    for (settings, says) in POOLERS {
        let user = PoolerUser {
            name: scenario.name(),
            password: "not a secret",
        };
        let pooler = Pooler::start("e2e-pooler", &server, user, settings)?;
        scenario.settings.set("postgres.port", pooler.port());
        let mut relay = scenario.relay()?;
        let hint = "name PostgreSQL itself in postgres.host";
        is_halted(&mut relay, "postgres_pooler_in_the_way", hint)?;
        // Whichever of its signs the last attempt met, it is one state and one line.
        relay.wait_for_readiness(says, |readiness| readiness.body.contains(says))?;
        is_halted(&mut relay, "postgres_pooler_in_the_way", hint)?;
        ensure(!relay.log().contains("postgres_refused"), || relay.log_tail())?;
    }
    scenario.settings.set("postgres.port", server.port);
    let relay = scenario.streaming_relay()?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

//! The two ways in which other programs are told where the server is.

use std::fs;

use outbox_relay_tests::certificates::Subject;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;
use outbox_relay_tests::writer::Writer;

use super::{are_encrypted, behind_tls};

const HERE: Subject<'_> = Subject::of("db", &["127.0.0.1"]);

/// Takes out of the configuration whatever says where the server is, who logs in, and how.
fn forget_the_way(scenario: &mut Scenario) {
    for key in [
        "host",
        "port",
        "database",
        "user",
        "password_file",
        "tls_mode",
        "tls_ca_file",
    ] {
        scenario.settings.remove(&format!("postgres.{key}"));
    }
}

/// A file with a URL is all: two hosts of which one is down, TLS, a password that is rotated while the relay runs.
#[test]
fn a_connection_string_is_enough_and_its_password_may_change_while_the_relay_runs() -> Outcome {
    let (mut scenario, _) = behind_tls("url", &HERE)?;
    let (name, port) = (scenario.name().to_owned(), scenario.servers.postgres()?.port);
    let (ca, file) = (
        scenario.settings.text("postgres.tls_ca_file").to_owned(),
        scenario.file("url"),
    );
    let closed = free_port()?;
    let url = |password: &str| {
        format!(
            "postgres://{name}:{password}@127.0.0.1:{closed},127.0.0.1:{port}/{name}?sslmode=verify-full\
             &sslrootcert={ca}&channel_binding=require\n"
        )
    };
    forget_the_way(&mut scenario);
    fs::write(&file, url("not%20a%20secret"))?;
    scenario.settings.set("postgres.url_file", file.display().to_string());
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.streaming_relay()?;
    are_encrypted(&scenario)?;

    scenario
        .database()?
        .run(&format!("ALTER ROLE {name} PASSWORD 'an@other'"))?;
    fs::write(&file, url("an%40other"))?;
    relay.may_show("postgres_unreachable");
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'");
    scenario.database()?.run(&cut)?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn the_variables_of_libpq_are_enough() -> Outcome {
    let mut scenario = Setup::new("variables").start()?;
    let (name, port) = (
        scenario.name().to_owned(),
        scenario.servers.postgres()?.port.to_string(),
    );
    forget_the_way(&mut scenario);
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let mut relay = scenario.relay_with(&[
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGDATABASE", &name),
        ("PGUSER", &name),
        ("PGPASSWORD", "not a secret"),
        ("PGSSLMODE", "disable"),
        ("PGAPPNAME", "named_by_libpq"),
    ])?;
    relay.wait_for_phase("streaming")?;
    let named =
        "SELECT count(*)::text FROM pg_stat_replication WHERE application_name = 'named_by_libpq' AND usename = $1";
    let named = scenario.database()?.text(named, &[&name])?;
    ensure(named.as_deref() == Some("1"), || {
        format!("{named:?} connections with that name")
    })?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

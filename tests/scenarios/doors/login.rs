//! How the relay proves its password, and how not.

use outbox_relay_tests::certificates::{Digest, Subject};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;

use super::behind_tls;
use crate::bad_input::is_halted;

const HERE: Subject<'_> = Subject::of("db", &["127.0.0.1"]);

#[test]
fn a_login_is_bound_to_its_connection_whatever_hash_the_certificate_has() -> Outcome {
    for (label, digest) in [("bind_256", Digest::Sha256), ("bind_384", Digest::Sha384)] {
        let (mut scenario, _) = behind_tls(label, &Subject { digest, ..HERE })?;
        scenario.settings.set("postgres.channel_binding", "require");
        scenario.streaming_relay()?;
    }
    Ok(())
}

#[test]
fn without_tls_there_is_nothing_to_bind_to_and_that_is_said() -> Outcome {
    let mut scenario = Setup::new("bind_plain")
        .set("postgres.channel_binding", "require")
        .without_migration()
        .start()?;
    let mut relay = scenario.relay()?;
    is_halted(
        &mut relay,
        "postgres_channel_binding_missing",
        "set postgres.channel_binding to prefer",
    )
}

/// A server that lets everybody in has not shown that it knows the password.
#[test]
fn a_server_that_asks_for_nothing_is_refused_where_binding_is_required() -> Outcome {
    let (mut scenario, _) = behind_tls("bind_trust", &HERE)?;
    let rules = "hostssl all all 127.0.0.1/32 trust\nhostssl replication all 127.0.0.1/32 trust";
    scenario.servers.own_postgres()?.allow_tcp(rules)?;
    scenario.settings.set("postgres.channel_binding", "require");
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_channel_binding_missing", "look for a proxy")
}

/// Weaker proofs of a password are given only where they are allowed by name; to both kinds of connection.
#[test]
fn md5_and_cleartext_are_refused_unless_they_are_allowed_by_name() -> Outcome {
    let mut scenario = Setup::new("weak").private_postgres(&[]).start()?;
    let name = scenario.name().to_owned();
    let sql = format!("SET password_encryption = 'md5'; ALTER ROLE {name} PASSWORD 'not a secret'");
    scenario.database()?.run(&sql)?;
    for (method, allowed) in [("md5", "md5"), ("password", "cleartext")] {
        let rules = format!("host all all 127.0.0.1/32 {method}");
        scenario.servers.own_postgres()?.allow_tcp(&rules)?;
        let mut relay = scenario.relay()?;
        is_halted(&mut relay, "postgres_authentication_failed", "SCRAM-SHA-256 password")?;
        relay.terminate()?;
        scenario
            .settings
            .set("postgres.password_methods", vec!["scram-sha-256", allowed]);
        scenario.streaming_relay()?;
        scenario.settings.remove("postgres.password_methods");
    }
    Ok(())
}

#[test]
fn a_passfile_gives_the_password_of_the_host_that_is_connected_to() -> Outcome {
    let mut scenario = Setup::new("passfile").start()?;
    let passfile = scenario.file("pgpass");
    let name = scenario.name().to_owned();
    let line = format!("elsewhere:*:*:*:wrong\n127.0.0.1:*:{name}:{name}:not a secret\n");
    std::fs::write(&passfile, line)?;
    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    scenario.settings.remove("postgres.password_file");
    scenario
        .settings
        .set("postgres.passfile", passfile.display().to_string());
    let mut relay = scenario.streaming_relay()?;
    ensure(relay.terminate()? == Some(0), || relay.log_tail())?;

    std::fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_password_unreadable", "chmod 0600")
}

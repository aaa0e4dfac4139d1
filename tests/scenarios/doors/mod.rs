//! Connections to PostgreSQL as they are where others could listen: encrypted, verified, never silently less.

mod attacks;
mod hosts;
mod libpq;
mod login;
mod managed;
mod pooler;
mod rotation;
mod tls;

use outbox_relay_tests::certificates::{Authority, Identity, Subject};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

/// Only with TLS, and only with a password.
const ENCRYPTED: &str =
    "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256";

/// A server behind TLS, a relay that trusts its authority, and the authority.
fn behind_tls(label: &str, subject: &Subject<'_>) -> Outcome<(Scenario, Authority)> {
    let mut scenario = Setup::new(label).private_postgres(&[]).start()?;
    let authority = Authority::new("outbox-relay tests")?;
    let certificate = authority.sign(subject)?;
    encrypt(&mut scenario, &certificate, &authority)?;
    let file = authority.write(&scenario.file("ca.pem"))?;
    scenario.settings.set("postgres.tls_mode", "verify-full");
    scenario.settings.set("postgres.tls_ca_file", file);
    Ok((scenario, authority))
}

fn encrypt(scenario: &mut Scenario, certificate: &Identity, clients: &Authority) -> Outcome {
    let postgres = scenario.servers.own_postgres()?;
    postgres.show_certificate(certificate, clients)?;
    postgres.allow_tcp(ENCRYPTED)
}

/// Both connections of the relay are.
fn are_encrypted(scenario: &Scenario) -> Outcome {
    let sql = "SELECT count(*)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
               WHERE application_name LIKE 'outbox_relay%' AND ssl AND version = 'TLSv1.3'";
    let encrypted = scenario.database()?.text(sql, &[])?;
    ensure(encrypted.as_deref() == Some("2"), || {
        format!("encrypted connections: {encrypted:?}")
    })
}

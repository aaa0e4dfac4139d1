//! What a server has to show before the relay talks to it.

use std::fs;

use outbox_relay_tests::certificates::{Authority, Subject};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::weather::{Stretch, Weather};
use outbox_relay_tests::writer::Writer;

use super::{are_encrypted, behind_tls, encrypt};
use crate::bad_input::is_halted;

const HERE: Subject<'_> = Subject::of("db", &["127.0.0.1", "localhost"]);
const ELSEWHERE: Subject<'_> = Subject::of("db", &["db.example"]);

/// Writes, and sees the relay publish all of it over encrypted connections.
fn publishes(scenario: &mut Scenario) -> Outcome {
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    let relay = scenario.streaming_relay()?;
    are_encrypted(scenario)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || format!("{report}"))
}

#[test]
fn both_connections_are_encrypted_and_verified() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_full", &HERE)?;
    publishes(&mut scenario)
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_only_the_ca_is_asked_for() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_host", &ELSEWHERE)?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", "as its certificate does")?;
    ensure(relay.log().contains("IP address mismatch"), || relay.log_tail())?;
    relay.terminate()?;
    scenario.settings.set("postgres.tls_mode", "verify-ca");
    publishes(&mut scenario)
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_unless_nothing_is_asked_for() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_ca", &HERE)?;
    let other = Authority::new("somebody else")?.write(&scenario.file("other.pem"))?;
    scenario.settings.set("postgres.tls_ca_file", other);
    for mode in ["verify-full", "verify-ca"] {
        scenario.settings.set("postgres.tls_mode", mode);
        let mut relay = scenario.relay()?;
        is_halted(&mut relay, "postgres_tls_failed", "name the CA in postgres.tls_ca_file")?;
        relay.terminate()?;
    }
    scenario.settings.remove("postgres.tls_ca_file");
    scenario.settings.set("postgres.tls_mode", "require");
    publishes(&mut scenario)
}

/// Whoever says nothing trusts what the system trusts, and that is not this authority.
#[test]
fn without_a_ca_file_the_systems_authorities_decide() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_system", &HERE)?;
    scenario.settings.remove("postgres.tls_ca_file");
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", "name the CA in postgres.tls_ca_file")
}

#[test]
fn a_certificate_that_has_ended_is_refused_and_its_renewal_is_picked_up() -> Outcome {
    let expired = Subject {
        is_expired: true,
        ..HERE
    };
    let (mut scenario, authority) = behind_tls("tls_expired", &expired)?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", "certificate")?;
    ensure(relay.log().contains("certificate has expired"), || relay.log_tail())?;
    encrypt(&mut scenario, &authority.sign(&HERE)?, &authority)?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_server_without_tls_is_refused_and_never_talked_to_in_the_clear() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_off", &HERE)?;
    let postgres = scenario.servers.own_postgres()?;
    postgres.set("ssl", "off")?;
    postgres.allow_tcp("host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust")?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", "switch TLS on at the server")
}

#[test]
fn a_server_that_speaks_only_tls_1_2_is_refused_unless_that_is_named() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_old", &HERE)?;
    let postgres = scenario.servers.own_postgres()?;
    postgres.set("ssl_max_protocol_version", "TLSv1.2")?;
    postgres.reload()?;
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", "postgres.tls_min_version = 1.2")?;
    relay.terminate()?;
    scenario.settings.set("postgres.tls_min_version", "1.2");
    scenario.streaming_relay().map(drop)
}

#[test]
fn a_server_that_wants_a_certificate_of_the_relay_gets_it() -> Outcome {
    let (mut scenario, authority) = behind_tls("tls_client", &HERE)?;
    let rules = "hostssl all all 127.0.0.1/32 cert\nhostssl replication all 127.0.0.1/32 cert";
    scenario.servers.own_postgres()?.allow_tcp(rules)?;
    scenario.settings.remove("postgres.password_file");
    let mut relay = scenario.relay()?;
    is_halted(
        &mut relay,
        "postgres_authentication_failed",
        "postgres.tls_certificate_file",
    )?;
    relay.terminate()?;

    let subject = Subject::of(scenario.name(), &[]);
    let own = authority.sign(&subject)?;
    let (certificate, key) = own.write(scenario.file("x").parent().unwrap_or(&scenario.file("x")), "relay")?;
    scenario
        .settings
        .set("postgres.tls_certificate_file", certificate.display().to_string());
    scenario
        .settings
        .set("postgres.tls_key_file", key.display().to_string());
    publishes(&mut scenario)
}

/// Nobody is asked on a terminal, where a service would wait for ever.
#[test]
fn a_key_with_a_passphrase_is_opened_by_the_one_in_its_file_and_nobody_is_asked_for_it() -> Outcome {
    let (mut scenario, authority) = behind_tls("tls_locked", &HERE)?;
    let rules = "hostssl all all 127.0.0.1/32 cert";
    scenario.servers.own_postgres()?.allow_tcp(rules)?;
    scenario.settings.remove("postgres.password_file");
    let own = authority.sign(&Subject::of(scenario.name(), &[]))?;
    let (certificate, key) = own.write(&scenario.file(""), "relay")?;
    fs::write(&key, own.locked_key("open sesame")?)?;
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    scenario.settings.set("postgres.tls_certificate_file", certificate);
    scenario.settings.set("postgres.tls_key_file", key.as_str());
    let mut relay = scenario.relay()?;
    let hint = "name it in postgres.tls_key_password_file";
    is_halted(&mut relay, "postgres_tls_failed", hint)?;
    ensure(
        relay
            .log()
            .contains(&format!("the key {key} is encrypted, and no passphrase")),
        || relay.log_tail(),
    )?;
    ensure(!relay.log().contains("pass phrase"), || relay.log_tail())?;
    relay.terminate()?;

    let passphrase = scenario.file("passphrase");
    fs::write(&passphrase, "close sesame\n")?;
    scenario
        .settings
        .set("postgres.tls_key_password_file", passphrase.display().to_string());
    let mut relay = scenario.relay()?;
    is_halted(&mut relay, "postgres_tls_failed", hint)?;
    ensure(relay.log().contains("does not open it"), || relay.log_tail())?;
    ensure(!relay.log().contains("sesame"), || relay.log_tail())?;
    fs::write(&passphrase, "open sesame\n")?;
    relay.wait_for_phase("streaming").map(drop)
}

/// In the clear the same would go unnoticed: the stream of PostgreSQL counts nothing.
#[test]
fn bytes_taken_out_of_an_encrypted_connection_are_noticed_and_nothing_is_lost() -> Outcome {
    let (mut scenario, _) = behind_tls("tls_theft", &HERE)?;
    let server = format!("127.0.0.1:{}", scenario.servers.postgres()?.port).parse()?;
    let stretch = Stretch::open(0, server)?;
    scenario.settings.set("postgres.port", stretch.port());
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");
    relay.may_show("postgres_tls_failed");
    relay.may_show("postgres_protocol_violation");
    // The control connection ended in the middle of it.
    relay.may_show("the advisory row could not be written");
    let load = scenario.load()?;
    let reconnects = |relay: &Relay| Outcome::Ok(relay.figures()?.get("reconnects_total{peer=\"postgres\"}"));
    for theft in 1..=3 {
        // Again when all went on as if nothing had been: it was on a connection that was ending anyway.
        while reconnects(&relay)? < f64::from(theft) {
            stretch.set(Weather::Theft);
            let before = relay.figures()?.get("events_acked_total");
            relay.wait_for_figure("events_acked_total", |records| records > before + 200.0)?;
        }
    }
    let history = load.stop()?;
    scenario.verify(&relay, &history).map(drop)
}

//! Somebody who speaks for the server gets no password, no memory and no panic, only a refusal with its own message.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::impostor::{Impostor, Script, Victim, authentication, hear, message};
use outbox_relay_tests::setup::Setup;

use crate::bad_input::is_halted;

const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// The relay, in front of which somebody plays a script to one of its connections, shows this code and says this.
fn is_refused(label: &str, victim: Victim, script: Script, code: &str, says: &str) -> Outcome {
    let mut scenario = Setup::new(label).start()?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, scenario.servers.postgres()?.port));
    let impostor = Impostor::open(server, victim, script)?;
    scenario.settings.set("postgres.port", impostor.port());
    if victim == Victim::TlsRequest {
        scenario.settings.set("postgres.tls_mode", "verify-full");
    }
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault(code)?;
    ensure(readiness.body.contains(says), || {
        format!("{says:?} is not in: {}", readiness.body)
    })?;
    ensure(relay.liveness()? == 200, || {
        "a refusal is no reason to be restarted".to_owned()
    })
}

/// To the one connection and to the other.
fn both_refuse(label: &str, script: Script, code: &str, says: &str) -> Outcome {
    is_refused(&format!("{label}_c"), Victim::Control, script, code, says)?;
    is_refused(&format!("{label}_r"), Victim::Replication, script, code, says)
}

fn offer_scram(client: &mut TcpStream) -> io::Result<String> {
    client.write_all(&authentication(SASL, b"SCRAM-SHA-256\0\0"))?;
    let first = String::from_utf8_lossy(&hear(client)?).into_owned();
    let nonce = first.rsplit_once("r=").map(|(_, nonce)| nonce.to_owned());
    nonce.ok_or_else(|| io::Error::other(first))
}

fn challenge(client: &mut TcpStream, iterations: u32) -> io::Result<()> {
    let nonce = offer_scram(client)?;
    let challenge = format!("r={nonce}impostor,s=c2FsdHNhbHQ=,i={iterations}");
    client.write_all(&authentication(SASL_CONTINUE, challenge.as_bytes()))
}

#[test]
fn whoever_asks_for_the_password_in_the_clear_does_not_get_it() -> Outcome {
    let script: Script = |client| client.write_all(&authentication(CLEARTEXT, &[]));
    both_refuse(
        "ask_clear",
        script,
        "postgres_authentication_failed",
        "the server asks for cleartext password authentication",
    )
}

#[test]
fn whoever_asks_for_an_md5_hash_does_not_get_it() -> Outcome {
    let script: Script = |client| client.write_all(&authentication(MD5, b"salt"));
    both_refuse(
        "ask_md5",
        script,
        "postgres_authentication_failed",
        "the server asks for md5 authentication",
    )
}

#[test]
fn a_server_that_does_not_know_the_password_either_is_refused() -> Outcome {
    let script: Script = |client| {
        challenge(client, 4096)?;
        hear(client)?;
        client.write_all(&authentication(
            SASL_FINAL,
            b"v=aW1wb3N0b3JpbXBvc3RvcmltcG9zdG9yaW1wb3M=",
        ))?;
        client.write_all(&authentication(0, &[]))
    };
    both_refuse("signature", script, "postgres_authentication_failed", "SCRAM")
}

#[test]
fn a_login_that_ends_without_the_servers_proof_is_refused() -> Outcome {
    let script: Script = |client| {
        challenge(client, 4096)?;
        hear(client)?;
        client.write_all(&[authentication(0, &[]), message(b'Z', b"I")].concat())
    };
    is_refused(
        "no_proof",
        Victim::Replication,
        script,
        "postgres_protocol_violation",
        "a SCRAM signature was expected",
    )
}

/// Each iteration costs the client; a server could keep it busy for hours.
#[test]
fn a_scram_challenge_that_would_keep_the_relay_busy_is_refused() -> Outcome {
    let script: Script = |client| challenge(client, 2_000_000_000);
    both_refuse("iterations", script, "postgres_authentication_failed", "SCRAM")
}

#[test]
fn a_message_that_claims_gigabytes_is_refused_before_memory_is_taken() -> Outcome {
    let script: Script = |client| client.write_all(&[b'R', 0x7f, 0xff, 0xff, 0xff]);
    is_refused(
        "claims_c",
        Victim::Control,
        script,
        "postgres_protocol_violation",
        "2147483647 bytes",
    )?;
    is_refused("claims_r", Victim::Replication, script, "row_too_large", "2147483648")
}

#[test]
fn a_web_server_on_the_port_and_a_login_out_of_order_are_no_trouble_of_the_network() -> Outcome {
    let web: Script = |client| client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let code = "postgres_protocol_violation";
    is_refused(
        "http",
        Victim::Control,
        web,
        code,
        "check that PostgreSQL itself answers",
    )?;
    is_refused(
        "https",
        Victim::TlsRequest,
        web,
        code,
        "an answer to the request for TLS was expected",
    )?;
    let ready: Script = |client| client.write_all(&message(b'Z', b"I"));
    is_refused(
        "early_c",
        Victim::Control,
        ready,
        code,
        "a step of the login was expected",
    )
}

#[test]
fn bytes_slipped_in_before_the_encryption_are_never_believed() -> Outcome {
    let script: Script =
        |client| client.write_all(&[&b"S"[..], &authentication(0, &[]), &message(b'Z', b"I")].concat());
    is_refused(
        "slipped",
        Victim::TlsRequest,
        script,
        "postgres_tls_failed",
        "the TLS handshake failed",
    )
}

#[test]
fn a_server_that_will_not_encrypt_is_not_talked_to() -> Outcome {
    let script: Script = |client| client.write_all(b"N");
    is_refused(
        "no_tls",
        Victim::TlsRequest,
        script,
        "postgres_tls_failed",
        "the server does not offer TLS",
    )
}

/// Nothing that arrives in the clear is shown as if the server had said it.
#[test]
fn an_error_before_the_encryption_is_not_taken_for_the_servers_word() -> Outcome {
    let script: Script = |client| client.write_all(&message(b'E', b"MSet tls_mode to disable\0\0"));
    is_refused(
        "early_error",
        Victim::TlsRequest,
        script,
        "postgres_protocol_violation",
        "an answer to the request for TLS was expected",
    )
}

/// The first connection meets it, and what it needs is said, not that the network be looked at.
#[test]
fn a_password_that_is_not_there_is_what_is_said_to_be_missing() -> Outcome {
    let mut scenario = Setup::new("no_password").start()?;
    scenario.settings.remove("postgres.password_file");
    let mut relay = scenario.relay()?;
    is_halted(
        &mut relay,
        "postgres_authentication_failed",
        "set postgres.password_file",
    )
}

//! Secrets and certificates that are changed under load, first on the server and then in the relay's files (P1, P7).

use std::fs;
use std::time::Instant;

use outbox_relay_tests::certificates::{Authority, Identity, Subject};
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::wait::wait_for;

use super::behind_tls;

/// Both proofs at once: a certificate, and a password.
const RULES: &str = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca";
const SERVER: Subject<'_> = Subject::of("db", &["127.0.0.1"]);
/// The relay is never faster than this at asking again.
const BACKOFF_MS: u64 = 300;
/// So many refusals are waited for before the new secret is given.
const REFUSALS: usize = 3;

/// A change that has been made on the server and not in the relay's files.
struct Change<'a> {
    code: &'a str,
    /// What the server's log says of each attempt.
    refusal: &'a str,
}

#[test]
fn password_client_certificate_and_server_certificate_are_rotated_under_load_without_a_restart() -> Outcome {
    let (mut scenario, servers) = behind_tls("rotation", &SERVER)?;
    let clients = Authority::new("clients, old")?;
    let own = servers.sign(&SERVER)?;
    show(&mut scenario, &own, &clients)?;
    scenario.servers.own_postgres()?.allow_tcp(RULES)?;
    give_certificate(&mut scenario, &clients)?;
    scenario.settings.set("postgres.reconnect_backoff_ms", BACKOFF_MS);
    scenario.settings.set("postgres.reconnect_backoff_max_ms", BACKOFF_MS);
    let load = scenario.load()?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");

    let name = scenario.name().to_owned();
    let password = format!("ALTER ROLE {name} PASSWORD 'quite another'");
    scenario.database()?.run(&password)?;
    let refusal = format!("password authentication failed for user \"{name}\"");
    let change = Change {
        code: "postgres_authentication_failed",
        refusal: &refusal,
    };
    waits(&mut scenario, &mut relay, &change)?;
    // At once, as whoever rotates secrets should: an empty file would be another fault.
    fs::write(scenario.file("new"), "quite another\n")?;
    fs::rename(scenario.file("new"), scenario.file("password"))?;
    goes_on(&mut relay, 1)?;

    load.wait_for_more(100)?;
    let new_clients = Authority::new("clients, new")?;
    show(&mut scenario, &own, &new_clients)?;
    let change = Change {
        code: "postgres_tls_failed",
        refusal: "could not accept SSL connection",
    };
    waits(&mut scenario, &mut relay, &change)?;
    give_certificate(&mut scenario, &new_clients)?;
    goes_on(&mut relay, 2)?;

    load.wait_for_more(100)?;
    let new_servers = Authority::new("servers, new")?;
    show(&mut scenario, &new_servers.sign(&SERVER)?, &new_clients)?;
    waits(&mut scenario, &mut relay, &change)?;
    new_servers.write(&scenario.file("ca.pem"))?;
    goes_on(&mut relay, 3)?;

    load.wait_for_more(100)?;
    let report = scenario.verify(&relay, &load.stop()?)?;
    ensure(report.duplicates == 0, || report.to_string())?;
    let lines = |text: &str| relay.log().matches(text).count();
    let (refused, untrusted) = (
        lines("code=\"postgres_authentication_failed\""),
        lines("code=\"postgres_tls_failed\""),
    );
    // The server's word can be lost when it hangs up, and comes with the next attempt then: another change of state.
    let hung_up = lines("Connection reset by peer");
    ensure(refused == 1 && (2..=2 + hung_up).contains(&untrusted), || relay.log())
}

/// Shows a certificate and trusts an authority, from the next connection on.
fn show(scenario: &mut Scenario, own: &Identity, clients: &Authority) -> Outcome {
    let loaded = |scenario: &Scenario| scenario.database()?.text("SELECT pg_conf_load_time()::text", &[]);
    let before = loaded(scenario)?;
    scenario.servers.own_postgres()?.show_certificate(own, clients)?;
    wait_for("the server to read its files", || match loaded(scenario) {
        Ok(now) if now != before => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

/// Puts a certificate that the authority has signed where the relay looks for its own.
fn give_certificate(scenario: &mut Scenario, authority: &Authority) -> Outcome {
    let folder = scenario.file("");
    let (certificate, key) = authority
        .sign(&Subject::of(scenario.name(), &[]))?
        .write(&folder, "relay")?;
    for (setting, file) in [("certificate", certificate), ("key", key)] {
        let setting = format!("postgres.tls_{setting}_file");
        scenario.settings.set(&setting, file.display().to_string());
    }
    Ok(())
}

/// Cuts the relay's connections: it halts, says so once, and asks again no faster than its backoff lets it.
fn waits(scenario: &mut Scenario, relay: &mut Relay, change: &Change<'_>) -> Outcome {
    let log = scenario.servers.postgres()?.log_file.clone();
    let refusals = || -> Outcome<usize> { Ok(fs::read_to_string(&log)?.matches(change.refusal).count()) };
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    scenario.database()?.rows(cut, &[&scenario.name()])?;
    let readiness = relay.wait_for_fault(change.code)?;
    ensure(readiness.phase() == "halted" && relay.liveness()? == 200, || {
        format!("{readiness:?}")
    })?;
    let (before, began) = (refusals()?, Instant::now());
    let refused = wait_for("more refusals", || {
        let refused = refusals().map_err(|failure| failure.to_string())? - before;
        if refused >= REFUSALS {
            Ok(refused)
        } else {
            Err(refused.to_string())
        }
    })?;
    let most = 1 + began.elapsed().as_millis() / u128::from(BACKOFF_MS);
    ensure(refused as u128 <= most, || {
        format!("{refused} attempts where {most} are enough")
    })
}

/// With the new secret in its file it goes on, and says so once.
fn goes_on(relay: &mut Relay, times: usize) -> Outcome {
    let events = relay.figures()?.get("events_acked_total");
    relay.wait_for_phase("streaming")?;
    relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged > events)?;
    let recovered = relay.log().matches("recovered part=\"postgres\"").count();
    if recovered == times {
        return Ok(());
    }
    Err(Failure::new(format!(
        "recovered {recovered} times instead of {times}\n{}",
        relay.log()
    )))
}

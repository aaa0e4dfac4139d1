//! Brokers that are not what they should be, or want something else than they are given: each is refused with its own
//! message, and nothing is said to them.

use openssl::ssl::SslVersion;
use outbox_relay_tests::broker_rules::Scram;
use outbox_relay_tests::certificates::{Authority, Subject};
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::settings::Settings;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::tls_server::{FalseScram, TlsServer};
use outbox_relay_tests::writer::Writer;

use super::{CA, MECHANISM, PROTOCOL, USERNAME, broker_rules, doors, lead_to, write};

const TLS: &str = "kafka_tls_failed";
const LOGIN: &str = "kafka_authentication_failed";
const PASSWORD: &str = "kafka.property_files.\"sasl.password\"";

/// What is wrong, how it comes about, and what has to be said of it.
type Case = (&'static str, Vec<(&'static str, String)>, &'static [&'static str]);

/// Relays that all try at the same time, each against another wrong.
struct Attempts {
    scenario: Scenario,
    under_way: Vec<(&'static str, Relay, &'static str, Vec<String>)>,
    usual: Settings,
}

impl Attempts {
    fn new(label: &str) -> Outcome<Attempts> {
        let mut scenario = Setup::new(label).start()?;
        let mut writer = Writer::connect(scenario.writer()?)?;
        writer.write(10)?;
        let port = doors(&scenario)?.login;
        lead_to(&mut scenario, port)?;
        let usual = scenario.settings.clone();
        Ok(Attempts {
            scenario,
            under_way: Vec::new(),
            usual,
        })
    }

    /// Starts a relay that differs from the usual one in this.
    fn begin(&mut self, what: &'static str, set: &[(&str, String)], code: &'static str, says: &[&str]) -> Outcome {
        self.scenario.settings = self.usual.clone();
        for (key, value) in set {
            if value.is_empty() {
                self.scenario.settings.remove(key);
            } else {
                self.scenario.settings.set(key, value.as_str());
            }
        }
        let mut relay = self.scenario.relay()?;
        // It has read its configuration, which the next one replaces.
        relay.wait_for_readiness("its listener", |_| true)?;
        let says = says.iter().map(ToString::to_string).collect();
        self.under_way.push((what, relay, code, says));
        Ok(())
    }

    /// Each of them is refused for its own reason and stays alive, and nothing was published.
    fn are_refused(mut self) -> Outcome {
        for (what, relay, code, says) in &mut self.under_way {
            let readiness = relay.wait_for_fault(code)?;
            // A certificate is looked at once more, for the message, after it was refused.
            let readiness = relay
                .wait_for_readiness(what, |seen| says.iter().all(|said| seen.body.contains(said)))
                .map_err(|failure| {
                    outbox_relay_tests::failure::Failure::new(format!("{says:?}; first {readiness:?}: {failure}"))
                })?;
            ensure(readiness.status == 503 && readiness.phase() == "halted", || {
                format!("{what}: {}", readiness.body)
            })?;
            ensure(relay.liveness()? == 200, || format!("{what}: not live"))?;
            let log = relay.log();
            let lines = log.lines().filter(|line| line.contains(*code)).count();
            ensure(lines == 1, || format!("{what}: {lines} lines about {code}:\n{log}"))?;
        }
        let records = self.scenario.records()?.len();
        ensure(records == 0, || format!("{records} records were sent"))
    }
}

fn here(port: u16) -> (&'static str, String) {
    ("kafka.bootstrap_servers", format!("127.0.0.1:{port}"))
}

fn set(key: &'static str, value: &str) -> (&'static str, String) {
    (key, value.to_owned())
}

#[test]
fn a_broker_whose_certificate_proves_nothing_is_told_nothing() -> Outcome {
    let mut attempts = Attempts::new("kafka_certs")?;
    let doors = doors(&attempts.scenario)?;
    let authority = Authority::load(&doors.authority)?;
    let good = Subject::of("broker", &["127.0.0.1"]);
    let expired = Subject {
        is_expired: true,
        ..good
    };
    let expired = TlsServer::open(&authority.sign(&expired)?, SslVersion::TLS1_3, None)?;
    let other = Authority::new("somebody else")?.sign(&good)?;
    let other = TlsServer::open(&other, SslVersion::TLS1_3, None)?;
    let old = TlsServer::open(&authority.sign(&good)?, SslVersion::TLS1_1, None)?;

    let cases: [Case; 5] = [
        (
            "expired",
            vec![here(expired.port())],
            &["certificate has expired", "renew the broker's certificate"],
        ),
        (
            "of another CA",
            vec![here(other.port())],
            &["unable to get local issuer", "\"ssl.ca.location\""],
        ),
        (
            "by the system's CAs",
            vec![here(doors.tls), (CA, String::new())],
            &["unable to get local issuer", "\"ssl.ca.location\""],
        ),
        (
            "of another host",
            vec![("kafka.bootstrap_servers", format!("localhost:{}", doors.tls))],
            &["hostname mismatch", "as their certificate does"],
        ),
        ("old version", vec![here(old.port())], &["SSL handshake failed"]),
    ];
    for (what, set, says) in cases {
        attempts.begin(what, &set, TLS, says)?;
    }
    attempts.are_refused()?;
    for server in [&expired, &other, &old] {
        ensure(!server.was_trusted(), || "somebody spoke to it".to_owned())?;
    }
    Ok(())
}

#[test]
fn one_side_that_speaks_in_the_clear_is_named_with_the_value_to_set() -> Outcome {
    let mut attempts = Attempts::new("kafka_clear")?;
    let doors = doors(&attempts.scenario)?;
    let plain = attempts.scenario.servers.bootstrap_servers()?.to_owned();
    let login = [
        set(MECHANISM, "PLAIN"),
        set(USERNAME, "u"),
        set("kafka.properties.\"sasl.password\"", "p"),
    ];
    let with_login = |more: &[(&'static str, String)]| [&login[..], more].concat();
    let plain = ("kafka.bootstrap_servers", plain);
    attempts.begin(
        "TLS to plain",
        std::slice::from_ref(&plain),
        TLS,
        &["do not speak TLS", "\"security.protocol\" = \"plaintext\""],
    )?;
    attempts.begin(
        "TLS and login to plain",
        &with_login(&[plain]),
        TLS,
        &["do not speak TLS", "\"security.protocol\" = \"sasl_plaintext\""],
    )?;
    attempts.begin(
        "plain to TLS",
        &[here(doors.tls), set(PROTOCOL, "plaintext")],
        TLS,
        &["want TLS", "\"security.protocol\" = \"ssl\""],
    )?;
    attempts.begin(
        "plain login to TLS",
        &with_login(&[set(PROTOCOL, "sasl_plaintext")]),
        TLS,
        &["want TLS", "\"security.protocol\" = \"sasl_ssl\""],
    )?;
    attempts.begin(
        "no login",
        &[],
        LOGIN,
        &["want a login", "set kafka.properties.\"sasl.mechanism\""],
    )?;
    attempts.are_refused()
}

#[test]
fn a_login_is_never_weaker_than_it_was_configured_and_never_believes_a_false_broker() -> Outcome {
    let mut attempts = Attempts::new("kafka_login")?;
    let doors = doors(&attempts.scenario)?;
    let name = attempts.scenario.name().to_owned();
    let mut rules = broker_rules(&attempts.scenario)?;
    rules.set_password(&name, Scram::Sha256, "right")?;
    let wrong = write(&attempts.scenario, "wrong", "wrong")?;
    let identity = Authority::load(&doors.authority)?.sign(&Subject::of("broker", &["127.0.0.1"]))?;
    let open = |iterations| TlsServer::open(&identity, SslVersion::TLS1_3, Some(FalseScram { iterations }));
    let (liar, tormentor) = (open(4096)?, open(2_000_000_000)?);
    let login = [set(MECHANISM, "SCRAM-SHA-256"), (USERNAME, name), (PASSWORD, wrong)];
    let to = |port: u16| [&login[..], &[here(port)]].concat();

    attempts.begin(
        "wrong password",
        &login,
        LOGIN,
        &["invalid credentials", "which are read anew"],
    )?;
    attempts.begin(
        "offers less",
        &to(doors.only_plain),
        LOGIN,
        &["supported mechanisms: PLAIN"],
    )?;
    attempts.begin("false proof", &to(liar.port()), LOGIN, &["ServerSignature mismatch"])?;
    attempts.begin(
        "endless hashing",
        &to(tormentor.port()),
        LOGIN,
        &["Iteration count in server-first-message"],
    )?;
    attempts.are_refused()?;
    for server in [&liar, &tormentor] {
        ensure(!server.was_trusted(), || "somebody spoke to it".to_owned())?;
    }
    Ok(())
}

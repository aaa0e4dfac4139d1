//! No secret and no value of a row is shown anywhere, whatever happens and however much is asked to be logged.

use std::fs;

use openssl::base64::encode_block;
use outbox_relay_tests::admin::ask;
use outbox_relay_tests::broker_rules::{BrokerRules, Scram};
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::history::History;
use outbox_relay_tests::program::exit_code;
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::kafka_version;
use outbox_relay_tests::writer::{Writer, WriterOptions};

use crate::kafka_doors::{broker_rules, log_in, write};

const PASSWORD: &str = "Quiet-Otter-41-in-PostgreSQL";
const WRONG_PASSWORD: &str = "Loud-Otter-14-in-PostgreSQL";
const KAFKA_PASSWORD: &str = "Quiet-Heron-52-at-the-brokers";
const WRONG_KAFKA_PASSWORD: &str = "Loud-Heron-25-at-the-brokers";
/// A part of every payload.
const IN_ROWS: &str = "Quiet-Badger-63-in-a-row";
const PLANTED: [&str; 5] = [PASSWORD, WRONG_PASSWORD, KAFKA_PASSWORD, WRONG_KAFKA_PASSWORD, IN_ROWS];
/// The topic setting that bounds a batch.
const LIMIT: &str = "max.message.bytes";
const KAFKA_PASSWORD_FILE: &str = "kafka.property_files.\"sasl.password\"";

/// What was shown: what it is, and its text.
#[derive(Default)]
struct Album(Vec<(String, String)>);

impl Album {
    /// All of `known` must be in it: were it empty, or something else, nothing could be found there.
    fn add(&mut self, what: &str, text: String, known: &[&str]) -> Outcome {
        for known in known {
            ensure(found(&text, known).is_some(), || {
                format!("{known:?} is not in {what}: {text}")
            })?;
        }
        self.0.push((what.to_owned(), text));
        Ok(())
    }

    /// Waits for a fault and looks at every route.
    fn add_fault(&mut self, relay: &mut Relay, code: &str) -> Outcome {
        let readiness = relay.wait_for_fault(code)?;
        self.add(&format!("/readyz at {code}"), readiness.body, &[code])?;
        for (route, known) in [("/metrics", "outbox_relay_up_phase"), ("/livez", "live")] {
            let (_, body) = ask(relay.admin_port(), route)?;
            self.add(&format!("{route} at {code}"), body, &[known])?;
        }
        Ok(())
    }

    fn add_command(&mut self, scenario: &Scenario, arguments: &[&str], known: &str) -> Outcome {
        let ended = scenario.command(arguments)?;
        self.add(&format!("outbox-relay {arguments:?}"), ended.output, &[known])
    }

    /// Those that read the configuration.
    fn add_commands(&mut self, scenario: &Scenario) -> Outcome {
        self.add_command(scenario, &["slot", "show"], scenario.name())?;
        self.add_command(scenario, &["config", "show"], scenario.name())?;
        self.add_command(scenario, &["config", "show", "--json"], scenario.name())?;
        self.add_command(scenario, &["config", "check"], "ok")
    }

    fn holds_nothing_of(&self, planted: &[&str]) -> Outcome {
        for (what, text) in &self.0 {
            for value in planted {
                if let Some(form) = found(text, value) {
                    let line = text.lines().find(|line| line.contains(&form));
                    return Err(Failure::new(format!("{value} is in {what}: {line:?}")));
                }
            }
        }
        Ok(())
    }
}

/// The form of a value that is in a text.
fn found(text: &str, value: &str) -> Option<String> {
    forms(value).into_iter().find(|form| text.contains(form))
}

/// As it is, and as a login, a dump or a debugger writes it.
fn forms(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    let hexadecimal = digits.concat();
    let mut forms = vec![
        value.to_owned(),
        hexadecimal.to_uppercase(),
        hexadecimal,
        numbers.join(", "),
    ];
    // In base64 it depends on where it begins, and its edges on what stands around it.
    for (before, skipped) in [("", 0), ("x", 2), ("xx", 3)] {
        let encoded = encode_block(format!("{before}{value}").as_bytes());
        let inner = encoded.get(skipped..encoded.len().saturating_sub(4));
        forms.extend(inner.filter(|inner| inner.len() >= 8).map(str::to_owned));
    }
    forms
}

#[test]
fn what_is_shown_would_be_found_however_it_is_written() -> Outcome {
    for before in ["", "a", "ab", "abc"] {
        let said = format!("{before}{PASSWORD}\0and more");
        let digits: Vec<String> = said.bytes().map(|byte| format!("{byte:02x}")).collect();
        let written = [
            encode_block(said.as_bytes()),
            digits.concat(),
            digits.concat().to_uppercase(),
            format!("{:?}", said.as_bytes()),
            said,
        ];
        for text in written {
            let is_found = [PASSWORD, WRONG_PASSWORD].map(|value| found(&text, value).is_some());
            ensure(is_found == [true, false], || format!("{is_found:?} in {text}"))?;
        }
    }
    let mut album = Album::default();
    album.add("a log", format!("the login {PASSWORD} failed"), &["login"])?;
    ensure(album.holds_nothing_of(&PLANTED).is_err(), || {
        "it was not found".to_owned()
    })
}

/// Logins that are refused and then accepted, a record that is refused, an outage, a row without a topic, a stop.
#[test]
fn no_secret_and_no_value_of_a_row_is_shown_whatever_happens() -> Outcome {
    let setup = Setup::new("secrets").private_kafka().kafka_version(kafka_version());
    let setup = setup.topic_config(LIMIT, "10000").set("log.filter", "trace");
    let debug = "security,conf,broker,topic,msg";
    let mut scenario = setup.set("kafka.properties.debug", debug).start()?;
    let _rules = plant(&mut scenario)?;
    let mut shown = Album::default();
    let mut relay = scenario.relay()?;
    logs_in(&scenario, &mut relay, &mut shown)?;
    let history = publishes(&mut scenario, &mut relay, &mut shown)?;
    let report = scenario.report(&relay, &history)?;
    report.accept()?;
    ensure(report.rows == 21, || report.to_string())?;
    ends_at_a_row(&scenario, &mut relay, &mut shown)?;

    // In the file itself they are no less secret.
    scenario.settings.remove("postgres.password_file");
    scenario.settings.set("postgres.password", PASSWORD);
    scenario.settings.remove(KAFKA_PASSWORD_FILE);
    scenario
        .settings
        .set("kafka.properties.\"sasl.password\"", KAFKA_PASSWORD);
    shown.add_commands(&scenario)?;
    // The slot's name and what librdkafka has to say are in the log: so would be what is planted.
    let known = [scenario.name(), " DEBUG ", "facility=", "record_too_large"];
    shown.add("the log", relay.log(), &known)?;
    shown.holds_nothing_of(&PLANTED)
}

/// Both servers know the right password, and the relay has been given wrong ones.
fn plant(scenario: &mut Scenario) -> Outcome<BrokerRules> {
    let name = scenario.name().to_owned();
    let mut rules = broker_rules(scenario)?;
    rules.set_password(&name, Scram::Sha512, KAFKA_PASSWORD)?;
    rules.allow_write(&format!("User:{name}"), &scenario.topic())?;
    log_in(scenario, "SCRAM-SHA-512", WRONG_KAFKA_PASSWORD)?;
    let password = format!("ALTER ROLE {name} PASSWORD '{PASSWORD}'");
    scenario.database()?.run(&password)?;
    replace(scenario, "password", WRONG_PASSWORD)?;
    Ok(rules)
}

/// At once, as whoever rotates secrets should: an empty file would be another fault.
fn replace(scenario: &Scenario, name: &str, secret: &str) -> Outcome {
    let new = write(scenario, "new", secret)?;
    Ok(fs::rename(new, scenario.file(name))?)
}

fn logs_in(scenario: &Scenario, relay: &mut Relay, shown: &mut Album) -> Outcome {
    let refused = "postgres_authentication_failed";
    shown.add_fault(relay, refused)?;
    shown.add_command(scenario, &["slot", "show"], refused)?;
    replace(scenario, "password", PASSWORD)?;
    shown.add_fault(relay, "kafka_authentication_failed")?;
    replace(scenario, "kafka-password", KAFKA_PASSWORD)?;
    relay.wait_for_phase("streaming").map(drop)
}

fn publishes(scenario: &mut Scenario, relay: &mut Relay, shown: &mut Album) -> Outcome<History> {
    let options = WriterOptions {
        filler: IN_ROWS.to_owned(),
        ..scenario.writer()?
    };
    let mut writer = Writer::connect(options)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    // Text that does not become much smaller when it is compressed.
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(50_000).collect();
    writer.begin()?;
    writer.insert_payloads(vec![format!("{IN_ROWS} {noise} {IN_ROWS}")])?;
    writer.commit()?;
    shown.add_fault(relay, "record_too_large")?;
    let topics = scenario.servers.topics()?;
    topics.alter(&scenario.topic(), &[(LIMIT, "1000000")])?;
    relay.wait_for_phase("streaming")?;
    scenario.wait_until_confirmed()?;

    scenario.note_fault()?;
    scenario.servers.own_kafka()?.kill(0)?;
    writer.write(10)?;
    shown.add_fault(relay, "kafka_unreachable")?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    Ok(writer.into_history())
}

/// It halts at a row that no topic fits, is looked at from all sides, and stops there.
fn ends_at_a_row(scenario: &Scenario, relay: &mut Relay, shown: &mut Album) -> Outcome {
    scenario.database()?.run(&format!(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('no topic!', 'k', 'happened', '\"{IN_ROWS}\"')"
    ))?;
    shown.add_fault(relay, "row_matches_no_route")?;
    shown.add_commands(scenario)?;
    let command_line = fs::read_to_string(relay.proc_file("cmdline"))?;
    shown.add("the command line", command_line, &["--config"])?;
    let code = relay.terminate()?;
    ensure(code == Some(exit_code("stopped_undrained")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })
}

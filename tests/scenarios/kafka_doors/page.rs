//! The lines that the documentation gives for each common case are used as they stand there.

use std::fs;
use std::path::Path;

use outbox_relay_tests::broker_rules::{BrokerRules, Scram};
use outbox_relay_tests::certificates::{Authority, Subject};
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::program::run;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::{PLAIN_PASSWORD, PLAIN_USER};
use outbox_relay_tests::writer::Writer;
use serde_json::Value;

use super::{CA, broker_rules, doors, lead_to, token_script, write};

const PAGE: &str = include_str!("../../../docs/KAFKA.md");

/// The keys and values of the block below a heading.
fn block(heading: &str) -> Outcome<Vec<(String, Value)>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading));
    let block = section.and_then(|section| section.split("```toml\n").nth(1)?.split("```").next());
    keys(block.ok_or_else(|| Failure::new(format!("no block below {heading}")))?)
}

/// The keys and values of a block of TOML in which all are texts or lists of them.
pub(crate) fn keys(block: &str) -> Outcome<Vec<(String, Value)>> {
    let mut table = "";
    let mut found = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']');
        } else {
            let line = line.split(" #").next().unwrap_or(line);
            let (key, value) = line.split_once(" = ").ok_or_else(|| Failure::new(line))?;
            // Texts, and lists of them, are JSON too.
            found.push((format!("{table}.{key}"), serde_json::from_str(value)?));
        }
    }
    Ok(found)
}

/// Sets what the page says, with this machine's addresses, names and files.
fn follow(scenario: &mut Scenario, heading: &str, port: u16, here: &[(&str, Value)]) -> Outcome {
    for (key, value) in block(heading)? {
        let local = here.iter().find(|(own, _)| key.ends_with(own)).map(|(_, value)| value);
        scenario.settings.set(&key, local.unwrap_or(&value).clone());
    }
    lead_to(scenario, port)
}

/// Publishes as `principal`, who may do so from now on and could not before.
fn publishes(scenario: &mut Scenario, rules: &mut BrokerRules, writer: &mut Writer, principal: &str) -> Outcome {
    let topic = scenario.topic();
    writer.write(10)?;
    let mut relay = scenario.relay()?;
    // While it may do nothing at all, which of the two comes first is up to the producer.
    relay.may_show("cluster_not_authorized");
    relay.wait_for_fault("topic_not_authorized")?;
    rules.allow_write(principal, &topic)?;
    scenario.wait_until_confirmed()?;
    relay.wait_for_phase("streaming")?;
    ensure(relay.unexpected_lines().is_empty(), || relay.log_tail())?;
    ensure(relay.terminate()? == Some(0), || relay.log_tail())
}

/// Takes out of the configuration what the last case has set.
fn forget(scenario: &mut Scenario, heading: &str) -> Outcome {
    for (key, _) in block(heading)? {
        scenario.settings.remove(&key);
    }
    Ok(())
}

#[test]
fn a_login_with_a_password_goes_as_the_page_says() -> Outcome {
    let mut scenario = Setup::new("page_login").start()?;
    let (door, user) = (doors(&scenario)?.login, scenario.name().to_owned());
    let (mut rules, mut writer) = (broker_rules(&scenario)?, Writer::connect(scenario.writer()?)?);

    let heading = "Managed Kafka, user and password";
    let principal = format!("User:{user}");
    let password = write(&scenario, "kafka-password", "first one")?;
    rules.set_password(&user, Scram::Sha512, "first one")?;
    rules.set_password(&user, Scram::Sha256, "first one")?;
    let here = [
        ("\"sasl.username\"", user.into()),
        ("\"sasl.password\"", password.into()),
    ];
    follow(&mut scenario, heading, door, &here)?;
    publishes(&mut scenario, &mut rules, &mut writer, &principal)?;
    rules.revoke(&principal, &scenario.topic())?;
    scenario.settings.set(super::MECHANISM, "SCRAM-SHA-256");
    publishes(&mut scenario, &mut rules, &mut writer, &principal)?;
    forget(&mut scenario, heading)?;

    let key = write(&scenario, "key", PLAIN_USER)?;
    let secret = write(&scenario, "secret", PLAIN_PASSWORD)?;
    let here = [("\"sasl.username\"", key.into()), ("\"sasl.password\"", secret.into())];
    follow(&mut scenario, "Managed Kafka, API key", door, &here)?;
    // Shared by all: it may write elsewhere while others run, and then is told the topic.
    rules.allow_write(&format!("User:{PLAIN_USER}"), &scenario.topic())?;
    writer.write(10)?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

#[test]
fn a_client_certificate_goes_as_the_page_says() -> Outcome {
    let mut scenario = Setup::new("page_mtls").start()?;
    let doors = doors(&scenario)?;
    let (mut rules, mut writer) = (broker_rules(&scenario)?, Writer::connect(scenario.writer()?)?);
    let name = scenario.name().to_owned();
    let own = Authority::load(&doors.authority)?.sign(&Subject::of(&name, &[]))?;
    let (certificate, key) = own.write(&scenario.file(""), "client")?;
    let path = |file: &Path| Value::from(file.display().to_string());
    let here = [
        ("\"ssl.certificate.location\"", path(&certificate)),
        ("\"ssl.key.location\"", path(&key)),
    ];
    follow(&mut scenario, "Client certificate", doors.tls, &here)?;
    let private = block("A CA of your own")?;
    ensure(private.iter().all(|(key, _)| key == CA), || format!("{private:?}"))?;
    publishes(&mut scenario, &mut rules, &mut writer, &format!("User:CN={name}"))?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

#[test]
fn a_token_goes_as_the_page_says() -> Outcome {
    let mut scenario = Setup::new("page_token").start()?;
    let (door, user) = (doors(&scenario)?.login, scenario.name().to_owned());
    let (mut rules, mut writer) = (broker_rules(&scenario)?, Writer::connect(scenario.writer()?)?);
    let principal = format!("User:{user}");
    let calls = scenario.file("calls").display().to_string();
    let script = token_script(&user, 300, &calls);
    let jwt = write(&scenario, "jwt.sh", &format!("{script}echo \"$token\"\n"))?;
    let json = format!("{script}printf '{{\"token\":\"%s\",\"expires_at_ms\":%s000}}' \"$token\" $((now + 300))\n");
    let json = write(&scenario, "json.sh", &json)?;
    let token = token(&jwt)?;
    let file = write(&scenario, "token", &token)?;
    for (heading, key, value) in [
        ("OAUTHBEARER, token from a file", "oauth_token_file", Value::from(file)),
        (
            "OAUTHBEARER, token from a program",
            "oauth_token_command",
            vec!["/bin/sh", &jwt].into(),
        ),
        (
            "Amazon MSK with IAM",
            "oauth_token_command",
            vec!["/bin/sh", &json].into(),
        ),
    ] {
        follow(&mut scenario, heading, door, &[(key, value)])?;
        publishes(&mut scenario, &mut rules, &mut writer, &principal)?;
        rules.revoke(&principal, &scenario.topic())?;
        forget(&mut scenario, heading)?;
    }
    let records = scenario.records()?.len();
    ensure(records == 30, || format!("{records} records"))
}

fn token(script: &str) -> Outcome<String> {
    let output = std::process::Command::new("/bin/sh").arg(script).output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// The page's last case; and every block is a configuration that the relay accepts.
#[test]
fn every_block_of_the_page_is_a_configuration() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "x")?;
    let blocks: Vec<&str> = PAGE
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    ensure(blocks.len() == 8, || format!("{} blocks", blocks.len()))?;
    for block in blocks {
        let here = file.display().to_string();
        let text: String = block.split("\"/").enumerate().fold(String::new(), |text, (nth, part)| {
            let rest = part.split_once('"').map_or(part, |(_, rest)| rest);
            if nth == 0 {
                part.to_owned()
            } else {
                format!("{text}\"{here}\"{rest}")
            }
        });
        let config = folder.path().join("relay.toml");
        let required = if text.contains("bootstrap_servers") {
            ""
        } else {
            "[kafka]\nbootstrap_servers = \"b:1\"\n"
        };
        fs::write(&config, format!("[postgres]\ndatabase = \"x\"\n{required}{text}"))?;
        let ended = run(&config, &["config"])?;
        ensure(ended.code == Some(0), || format!("{text}\n{ended:?}"))?;
    }
    Ok(())
}

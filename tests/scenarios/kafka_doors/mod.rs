//! Connections to Kafka as they are where others could listen: encrypted, with a login, and with rules about who may
//! write where.

pub(crate) mod page;
mod refusals;
mod rotation;
mod rules;
mod tokens;

use std::fs;

use outbox_relay_tests::broker_rules::BrokerRules;
use outbox_relay_tests::certificates::Authority;
use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::stack::KafkaDoors;

const USERNAME: &str = "kafka.properties.\"sasl.username\"";
const MECHANISM: &str = "kafka.properties.\"sasl.mechanism\"";
const PROTOCOL: &str = "kafka.properties.\"security.protocol\"";
const CA: &str = "kafka.properties.\"ssl.ca.location\"";

pub(crate) fn doors(scenario: &Scenario) -> Outcome<KafkaDoors> {
    Ok(scenario.servers.kafka_doors()?.clone())
}

/// The relay goes to this port, over TLS, and trusts the broker's authority.
pub(crate) fn lead_to(scenario: &mut Scenario, port: u16) -> Outcome {
    let authority = Authority::load(&doors(scenario)?.authority)?;
    let file = authority.write(&scenario.file("kafka-ca.pem"))?;
    scenario.settings.remove(PROTOCOL);
    scenario.settings.set(CA, file);
    scenario
        .settings
        .set("kafka.bootstrap_servers", format!("127.0.0.1:{port}"));
    Ok(())
}

/// The relay logs in as the scenario's own user, with a password from a file.
pub(crate) fn log_in(scenario: &mut Scenario, mechanism: &str, password: &str) -> Outcome {
    let port = doors(scenario)?.login;
    lead_to(scenario, port)?;
    let user = scenario.name().to_owned();
    scenario.settings.set(MECHANISM, mechanism);
    scenario.settings.set(USERNAME, user);
    let file = write(scenario, "kafka-password", password)?;
    scenario.settings.set("kafka.property_files.\"sasl.password\"", file);
    Ok(())
}

pub(crate) fn write(scenario: &Scenario, name: &str, text: &str) -> Outcome<String> {
    let file = scenario.file(name);
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

pub(crate) fn broker_rules(scenario: &Scenario) -> Outcome<BrokerRules> {
    Ok(BrokerRules::of(scenario.servers.bootstrap_servers()?))
}

/// A program for `/bin/sh` that prints an unsigned token for `user`, good for so long, and notes each call.
fn token_script(user: &str, life_s: u64, calls: &str) -> String {
    format!(
        "encode() {{ base64 -w0 | tr '+/' '-_' | tr -d '='; }}\n\
         echo called >>'{calls}'\n\
         now=$(date +%s)\n\
         head=$(printf '{{\"alg\":\"none\"}}' | encode)\n\
         body=$(printf '{{\"sub\":\"{user}\",\"iat\":%s,\"exp\":%s}}' $now $((now + {life_s})) | encode)\n\
         token=\"$head.$body.\"\n"
    )
}

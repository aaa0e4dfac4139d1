//! A managed `PostgreSQL` and a managed Kafka: the lines that the README gives, as they stand there.

use outbox_relay_tests::broker_rules::Scram;
use outbox_relay_tests::certificates::Subject;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::writer::Writer;

use super::behind_tls;
use crate::kafka_doors::{broker_rules, doors, lead_to, page, write};

const README: &str = include_str!("../../../README.md");
const PASSWORD: &str = "not a secret";

#[test]
fn the_lines_of_the_readme_publish_between_servers_that_demand_all_of_them() -> Outcome {
    let (mut scenario, _) = behind_tls("managed", &Subject::of("db", &["127.0.0.1"]))?;
    let block = README
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let lines = page::keys(block.ok_or_else(|| Failure::new("the README has no lines"))?)?;
    ensure(lines.len() == 8, || format!("{lines:?}"))?;

    let user = scenario.name().to_owned();
    let mut rules = broker_rules(&scenario)?;
    rules.set_password(&user, Scram::Sha512, PASSWORD)?;
    rules.allow_write(&format!("User:{user}"), &scenario.topic())?;
    let kafka_password = write(&scenario, "kafka-password", PASSWORD)?;
    let servers = format!("127.0.0.1:{}", scenario.servers.postgres()?.port);
    for (key, value) in lines {
        let here = match key.as_str() {
            "postgres.host" => servers.clone().into(),
            "kafka.properties.\"sasl.username\"" => user.clone().into(),
            "kafka.property_files.\"sasl.password\"" => kafka_password.clone().into(),
            // The names of this scenario's database, authority, secret and brokers.
            "postgres.database" | "postgres.tls_ca_file" | "postgres.password_file" | "kafka.bootstrap_servers" => {
                continue;
            }
            _ => value,
        };
        scenario.settings.set(&key, here);
    }
    for key in ["postgres.tls_mode", "postgres.port"] {
        scenario.settings.remove(key);
    }
    let port = doors(&scenario)?.login;
    lead_to(&mut scenario, port)?;

    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(50)?;
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.duplicates == 0, || report.to_string())
}

//! `[kafka]`.

use std::collections::BTreeMap;

use crate::config::errors::Fault;
use crate::config::librdkafka;
use crate::config::parse::{Parse, brokers, property, secret, secret_file, text};
use crate::config::properties::{self, FILES_PREFIX, PREFIX};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::KafkaSettings;

use super::kafka_login;

pub(super) fn read(reader: &mut Reader) -> Result<KafkaSettings, Noted> {
    let bootstrap_servers = reader.read("kafka.bootstrap_servers", brokers);
    let client_id = reader.read("kafka.client_id", text);
    let token_source = kafka_login::token_source(reader);
    let properties = values(reader, PREFIX, |name| !properties::is_secret(name), property);
    let given_secrets = values(reader, PREFIX, properties::is_secret, secret);
    let secret_files = values(reader, FILES_PREFIX, |_| true, secret_file);
    given_once(reader);
    librdkafka_takes_them(reader);
    let mut properties = properties?;
    kafka_login::complete(
        reader,
        &mut properties,
        token_source.as_ref().is_ok_and(Option::is_some),
    )?;
    Ok(KafkaSettings {
        bootstrap_servers: bootstrap_servers?,
        client_id: client_id?,
        properties,
        secret_properties: given_secrets?.into_iter().chain(secret_files?).collect(),
        token_source: token_source?,
    })
}

/// The properties below `prefix` whose name is `wanted`.
fn values<T>(
    reader: &mut Reader,
    prefix: &str,
    wanted: fn(&str) -> bool,
    parse: Parse<T>,
) -> Result<BTreeMap<String, T>, Noted> {
    let names = reader.below(prefix).into_iter().filter(|name| wanted(name));
    // First all of them, for all of their errors; then the first error, if there is one.
    let read: Vec<_> = names
        .map(|name| (value(reader, &format!("{prefix}{name}"), parse), name))
        .collect();
    read.into_iter()
        .filter_map(|(value, name)| Some(value.transpose()?.map(|value| (name, value))))
        .collect()
}

fn value<T>(reader: &mut Reader, path: &str, parse: Parse<T>) -> Result<Option<T>, Noted> {
    if path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return reader.optional(path, parse);
    }
    reader.fault(
        path,
        Fault::new("is not the name of a property", "use printable ASCII without spaces"),
    );
    Err(Noted)
}

fn given_once(reader: &mut Reader) {
    for name in reader.below(FILES_PREFIX) {
        let (value, file) = (format!("{PREFIX}{name}"), format!("{FILES_PREFIX}{name}"));
        if reader.is_given(&value) {
            let problem = format!("is given beside {file} ({})", reader.origin(&file));
            reader.fault(&value, Fault::new(problem, "keep one of the two"));
        }
    }
}

fn librdkafka_takes_them(reader: &mut Reader) {
    let is_sound = |name: &String| name.bytes().all(|byte| byte.is_ascii_graphic());
    for name in reader.below(PREFIX).into_iter().filter(is_sound) {
        let path = format!("{PREFIX}{name}");
        let fault = reader
            .text(&path)
            .and_then(|value| librdkafka::fault(&name, Some(&value)));
        if let Some(fault) = fault {
            reader.fault(&path, fault);
        }
    }
    for name in reader.below(FILES_PREFIX).into_iter().filter(is_sound) {
        if let Some(fault) = librdkafka::fault(&name, None) {
            reader.fault(&format!("{FILES_PREFIX}{name}"), fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::trial::Trial;

    fn load(trial: Trial) -> KafkaSettings {
        trial.load().expect("no error").settings.kafka
    }

    #[test]
    fn whoever_does_not_speak_to_kafka_needs_nothing_of_it_and_hears_of_misspelt_keys_all_the_same() {
        let without =
            || Trial::of("postgres.database = 'shop'\nkafka.property_files.\"sasl.password\" = '/no/such/file'");
        assert_eq!(without().errors().iter().count(), 3);
        let settings = without().load_without_kafka().expect("no error");
        assert_eq!(settings.postgres.database, "shop");
        let misspelt = without().and("kafka.bootstrap_server = 'b:9092'").load_without_kafka();
        let errors = misspelt.expect_err("an error");
        assert_eq!(errors.iter().count(), 1, "{errors}");
        assert!(
            errors.to_string().contains("did you mean kafka.bootstrap_servers?"),
            "{errors}"
        );
    }

    #[test]
    fn what_is_not_given_is_what_users_expect() {
        let kafka = load(Trial::minimal());
        assert_eq!(
            (kafka.bootstrap_servers.as_str(), kafka.client_id.as_str()),
            ("b:9092", "outbox-relay")
        );
        assert_eq!(
            kafka.properties.into_iter().collect::<Vec<_>>(),
            [("security.protocol".to_owned(), "ssl".to_owned())]
        );
        assert!(kafka.secret_properties.is_empty());
    }

    #[test]
    fn a_property_that_holds_a_secret_is_kept_apart_from_the_others() {
        let kafka = load(
            Trial::minimal().and("kafka.properties.sasl = {username = 'u', password = 'hunter2', mechanism = 'PLAIN'}"),
        );
        assert_eq!(
            kafka.properties.keys().collect::<Vec<_>>(),
            ["sasl.mechanism", "sasl.username", "security.protocol"]
        );
        let password = kafka.secret_properties["sasl.password"].reveal().expect("read");
        assert_eq!(password.expose_secret(), "hunter2");
    }

    #[test]
    fn a_property_can_come_from_a_file_but_not_from_both() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2\n").expect("written");
        let path = file.path().display().to_string();
        let trial = || {
            Trial::minimal().and(&format!(
                "kafka.property_files.\"sasl.password\" = '{path}'\nkafka.properties.\"sasl.mechanism\" = 'PLAIN'\n\
                 kafka.properties.\"sasl.username\" = 'u'"
            ))
        };
        let password = load(trial()).secret_properties["sasl.password"].reveal().expect("read");
        assert_eq!(password.expose_secret(), "hunter2");

        let errors = trial().env("KAFKA__PROPERTIES__SASL_PASSWORD", "x").errors();
        assert!(
            errors
                .to_string()
                .contains("is given beside kafka.property_files.sasl.password"),
            "{errors}"
        );
    }

    #[test]
    fn every_wrong_property_is_reported() {
        let errors = Trial::minimal()
            .and("kafka.properties.\"a b\" = 1\nkafka.properties.debug = []\nkafka.property_files.\"ssl.key.pem\" = '/no/such/file'")
            .errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "kafka.properties.a b",
                "kafka.properties.debug",
                "kafka.property_files.ssl.key.pem"
            ],
            "{errors}"
        );
    }
}

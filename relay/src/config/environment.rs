//! Environment variables: `OUTBOX_RELAY_POSTGRES__HOST` is `postgres.host`.
//!
//! The `config` crate has such a source, but it forgets the variable's name, and our errors name it.

use config::{Value, ValueKind};

use super::leaves::{Leaf, Leaves};
use super::properties;

/// Begins every variable of ours.
pub(super) const PREFIX: &str = "OUTBOX_RELAY_";
/// Names the configuration file.
const CONFIG_VARIABLE: &str = "OUTBOX_RELAY_CONFIG";
/// Says who runs a command, for the audit trail.
pub(crate) const ACTOR_VARIABLE: &str = "OUTBOX_RELAY_ACTOR";
/// Joins what belongs together in the audit trail and elsewhere.
pub(crate) const CORRELATION_VARIABLE: &str = "OUTBOX_RELAY_CORRELATION_ID";
/// Ours, but not keys: the file, who acts, and what the local stack and the tests read.
const RESERVED: [&str; 6] = [
    CONFIG_VARIABLE,
    ACTOR_VARIABLE,
    CORRELATION_VARIABLE,
    "OUTBOX_RELAY_STACK",
    "OUTBOX_RELAY_STACK_POSTGRES",
    "OUTBOX_RELAY_BINARY",
];

/// The configuration file that the environment names.
pub(super) fn config_file(environment: &[(String, String)]) -> Option<&str> {
    let (_, path) = environment
        .iter()
        .find(|(name, path)| name == CONFIG_VARIABLE && !path.is_empty())?;
    Some(path)
}

/// The keys that the environment gives.
pub(super) fn read(environment: &[(String, String)]) -> Leaves {
    let leaves = environment
        .iter()
        .filter(|(name, value)| !is_foreign(name, value))
        .filter_map(|(name, value)| {
            let path = path_of(name.strip_prefix(PREFIX)?);
            let origin = format!("environment variable {name}");
            Some(Leaf {
                path,
                value: Value::new(Some(&origin), ValueKind::String(value.clone())),
            })
        });
    Leaves::of(leaves.collect())
}

/// The variable for `path`.
pub(super) fn variable(path: &str) -> String {
    let name = match properties::split(path) {
        Some((prefix, name)) => format!("{}{}", prefix.replace('.', "__"), name.replace('.', "_")),
        None => path.replace('.', "__"),
    };
    format!("{PREFIX}{}", name.to_uppercase())
}

fn path_of(name: &str) -> String {
    let path = name.to_lowercase().replace("__", ".");
    match properties::split(&path) {
        Some((prefix, name)) => format!("{prefix}{}", name.replace('_', ".")),
        None => path,
    }
}

fn is_foreign(name: &str, value: &str) -> bool {
    RESERVED.contains(&name) || (!name.contains("__") && is_service_link(name, value))
}

/// Kubernetes describes every service of the namespace in variables, a service called `outbox-relay` with our prefix.
fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_protocol = |word: &&str| matches!(*word, "TCP" | "UDP" | "SCTP");
    let is_number = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let names_service = words
        .windows(2)
        .any(|pair| matches!(pair, ["SERVICE", "HOST" | "PORT"]));
    let names_port = words
        .windows(3)
        .any(|run| run[0] == "PORT" && is_number(&run[1]) && is_protocol(&run[2]));
    let is_address = name.ends_with("_PORT") && value.contains("://");
    names_service || names_port || is_address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;
    use crate::config::trial::Trial;

    #[test]
    fn every_key_has_a_variable_that_leads_back_to_it() {
        for key in KEYS {
            let path = key
                .path
                .replace('*', "sasl.password")
                .replace("outbox.sasl.password", "outbox.two_words");
            let name = variable(&path);
            assert_eq!(path_of(name.strip_prefix(PREFIX).expect("our prefix")), path);
        }
    }

    #[test]
    fn reserved_variables_are_not_keys() {
        Trial::minimal()
            .env("STACK", "local")
            .env("STACK_POSTGRES", "17")
            .env("BINARY", "target/release/outbox-relay")
            .env("CONFIG", "")
            .load()
            .expect("no error");
    }

    #[test]
    fn a_variable_of_ours_that_nobody_reads_is_refused() {
        let shown = Trial::minimal().env("LOG", "debug").errors().to_string();
        assert!(shown.contains("OUTBOX_RELAY_LOG"), "{shown}");
    }

    #[test]
    fn the_file_that_the_environment_names_is_read_unless_a_flag_names_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("other.toml");
        std::fs::write(&path, "postgres.database = 'other'\nkafka.bootstrap_servers = 'b:9092'").expect("written");
        let named = path.display().to_string();
        let loaded = Trial::empty().env("CONFIG", &named).load().expect("no error");
        assert_eq!(loaded.settings.postgres.database, "other");
        let loaded = Trial::minimal().env("CONFIG", &named).load().expect("no error");
        assert_eq!(loaded.settings.postgres.database, "shop");
    }

    #[test]
    fn the_variables_of_a_kubernetes_service_with_our_name_are_passed_over() {
        Trial::minimal()
            .env("SERVICE_HOST", "10.0.0.1")
            .env("SERVICE_PORT", "9464")
            .env("SERVICE_PORT_METRICS", "9464")
            .env("PORT", "tcp://10.0.0.1:9464")
            .env("PORT_9464_TCP", "tcp://10.0.0.1:9464")
            .env("PORT_9464_TCP_ADDR", "10.0.0.1")
            .env("METRICS_PORT_9464_TCP_PROTO", "tcp")
            .load()
            .expect("no error");
    }

    #[test]
    fn a_variable_with_one_underscore_too_few_is_refused_with_the_right_name() {
        let errors = Trial::minimal().env("POSTGRES_PORT", "5433").errors();
        let shown = errors.to_string();
        assert!(shown.contains("OUTBOX_RELAY_POSTGRES_PORT"), "{shown}");
        assert!(shown.contains("OUTBOX_RELAY_POSTGRES__PORT"), "{shown}");
    }

    #[test]
    fn underscores_in_the_name_of_a_property_are_dots() {
        let loaded = Trial::minimal()
            .env("KAFKA__PROPERTIES__COMPRESSION_TYPE", "zstd")
            .load()
            .expect("no error");
        assert_eq!(loaded.settings.kafka.properties["compression.type"], "zstd");
    }
}

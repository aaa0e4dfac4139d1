//! What stands in the repository, what editors believe and what the relay does are the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::config::trial::Trial;
use crate::config::{environment, file, keys, parse};

mod validator;

/// Compares a file of the repository with what the code makes, or writes it.
fn is_as_made(path: &str, command: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, made).expect("written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let line = found.lines().zip(made.lines()).position(|(found, made)| found != made);
    let line = line.unwrap_or(found.lines().count().min(made.lines().count())) + 1;
    assert!(
        found == made,
        "{path} is not what the code makes, from line {line} on. To renew it and the others:\n  \
         BLESS=1 cargo test -p outbox-relay --lib config::reference\n\
         or this one: outbox-relay config {command} > {path}"
    );
}

#[test]
fn the_files_in_the_repository_are_what_the_code_makes() {
    is_as_made("docs/CONFIGURATION.md", "reference", &reference());
    is_as_made("docs/config.schema.json", "schema", &schema());
    is_as_made("deploy/outbox-relay.toml", "example", &example());
}

#[test]
fn every_key_stands_in_a_section() {
    let shown: usize = sections().iter().map(|section| section.keys.len()).sum();
    assert_eq!(
        shown,
        KEYS.len(),
        "a section of the key table is missing in reference/sections.rs"
    );
}

#[test]
fn the_example_as_it_is_says_no_more_than_what_is_required() {
    let minimal = "postgres.database = 'shop'\nkafka.bootstrap_servers = 'localhost:9092'";
    let values = |text: &str| {
        let loaded = Trial::of(text).load().unwrap_or_else(|errors| panic!("{errors}"));
        let shown = loaded.effective.into_iter().map(|shown| (shown.path, shown.value));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(values(&example()), values(minimal));
}

/// In the example a key is switched off by a `#` without a space behind it.
fn switched_on(line: &str) -> &str {
    line.strip_prefix('#')
        .filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '#']))
        .unwrap_or(line)
}

/// The example with every key switched on.
fn whole_example() -> String {
    example().lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_shows_every_key_with_its_default_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("relay.toml");
    std::fs::write(&path, whole_example()).expect("written");
    let leaves = file::read(&path).expect("TOML").values;
    let shown: BTreeMap<_, _> = leaves
        .iter()
        .map(|leaf| (leaf.path.as_str(), parse::shown(&leaf.value)))
        .collect();
    for path in shown.keys() {
        assert!(keys::find(path).is_some(), "{path} is no key");
    }
    for key in KEYS {
        let value = shown
            .iter()
            .find(|(path, _)| keys::find(path).is_some_and(|found| found.path == key.path));
        let (_, value) = value.unwrap_or_else(|| panic!("{} is not shown: give it an example", key.path));
        if let Fallback::Value(default) = key.default {
            assert_eq!(value, default, "{}", key.path);
        }
    }
}

#[test]
fn no_line_of_the_example_is_longer_than_a_screen() {
    for line in example().lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

/// Of every key, with the variable that the reference names for it.
fn variables() -> Vec<(&'static Key, String)> {
    let reference = reference();
    let named = |key: &'static Key| {
        let heading = match split(key) {
            (section, "*") => format!("### `{section}.<property>`\n"),
            _ => format!("### `{}`\n", key.path.replace('*', "<name>")),
        };
        let (_, entry) = reference
            .split_once(&heading)
            .unwrap_or_else(|| panic!("{} is missing", key.path));
        let (_, variable) = entry.split_once("- variable: `").expect("a variable");
        let (variable, _) = variable.split_once('`').expect("its end");
        let variable = variable.replace("<NAME>", "DEFAULT");
        (
            key,
            variable
                .replace("PROPERTIES__<PROPERTY>", "PROPERTIES__LINGER_MS")
                .replace("<PROPERTY>", "SASL_PASSWORD"),
        )
    };
    KEYS.iter().map(named).collect()
}

#[test]
fn every_variable_that_the_reference_names_sets_its_key() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "postgres://db1/shop").expect("written");
    let path = file.path().display().to_string();
    for (key, variable) in variables() {
        let value = match key.kind {
            Kind::Whole { min, max, .. } => (min + 1).min(max).to_string(),
            Kind::Switch => "true".to_owned(),
            Kind::Choice(words) => words[words.len() - 1].to_owned(),
            Kind::File | Kind::SecretFile => path.clone(),
            Kind::Property => "1".to_owned(),
            _ => default(key).unwrap_or_else(|| key.examples[0].to_owned()),
        };
        let name = variable.strip_prefix(environment::PREFIX).expect("our prefix");
        let trial = Trial::minimal().env(name, &value);
        let effective = trial.effective();
        let source = format!("environment variable {variable}");
        let set: Vec<_> = effective.iter().filter(|shown| shown.source == source).collect();
        assert_eq!(set.len(), 1, "{variable}={value} sets {set:?}");
        assert_eq!(
            keys::find(&set[0].path).map(|found| found.path),
            Some(key.path),
            "{variable}"
        );
        let shown = if key.is_secret(&set[0].path) {
            "***"
        } else {
            value.as_str()
        };
        assert_eq!(set[0].value.as_deref(), Some(shown), "{variable}");
    }
}

#[test]
fn the_reference_names_type_default_and_meaning_of_every_key() {
    let reference = reference();
    for key in KEYS {
        assert!(reference.contains(key.meaning), "{}", key.path);
        if let Kind::Whole { min, max, .. } = key.kind {
            assert!(reference.contains(&format!("from {min} to {max}")), "{}", key.path);
        }
    }
}

fn parsed_schema() -> Value {
    serde_json::from_str(&schema()).expect("JSON")
}

/// What the schema says to a TOML text; nothing if it accepts it.
fn complaints(text: &str) -> Vec<String> {
    let table: toml::de::DeTable<'_> = toml::de::DeTable::parse(text)
        .unwrap_or_else(|error| panic!("{error}"))
        .into_inner();
    validator::complaints(&parsed_schema(), &validator::json(toml::de::DeValue::Table(table)))
}

#[test]
fn the_schema_accepts_the_example_as_it_is_and_with_every_key() {
    for text in [example(), whole_example()] {
        assert_eq!(complaints(&text), Vec::<String>::new());
    }
    let nested =
        "kafka.properties.sasl = { username = 'u' }\nkafka.properties.\"linger.ms\" = 0.5\npostgres.host = 'db1'";
    assert_eq!(complaints(nested), Vec::<String>::new());
}

#[test]
fn the_schema_refuses_what_the_relay_refuses() {
    for wrong in [
        "postgres.hosst = 'db1'",
        "postgres.port = 'many'",
        "postgres.port = 0",
        "postgres.port = 65536",
        "postgres.tls_mode = 'prefer'",
        "postgres.slot = 'Orders'",
        "postgres.host = [1]",
        "outbox.Orders.topic = 't'",
        "outbox.a__b.topic = 't'",
        "outbox.orders.columns.kind = 'k'",
        "outbox.topic = 't'",
        "kafka.properties.acks = 1",
        "kafka.properties.partitioner = 'random'",
        "kafka.properties.list = []",
        "pipelines.drain_timeout_ms = 1",
        "log.format = 'xml'",
        "retention.enabled = 'yes'",
        "admin = 'here'",
    ] {
        assert_ne!(complaints(wrong), Vec::<String>::new(), "{wrong}");
        assert!(Trial::minimal().and(wrong).load().is_err(), "{wrong}");
    }
}

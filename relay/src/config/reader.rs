//! Reads one key after the other, notes where its value came from, and collects what is wrong.

use std::collections::BTreeSet;

use config::{Value, ValueKind};
use serde::Serialize;

use super::errors::{ConfigError, Fault};
use super::key::{Fallback, Key, Kind};
use super::layers::Given;
use super::parse::{self, Parse};
use super::{environment, keys, libpq};

/// What is shown instead of a secret.
const HIDDEN: &str = "***";

/// One value that is in force, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Path of the key.
    pub path: String,
    /// The value; `***` for a secret, nothing where no value is set.
    pub value: Option<String>,
    /// Where it came from: `default`, a file, a variable or a flag.
    pub source: String,
    /// Unit of the value, or empty.
    pub unit: &'static str,
    /// What the key does.
    pub meaning: &'static str,
}

/// There is no value, and the reader has noted why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted;

/// Takes values out of what was given.
pub(super) struct Reader {
    given: Given,
    errors: Vec<ConfigError>,
    effective: Vec<Effective>,
    without_files: bool,
}

impl Reader {
    pub(super) fn new(given: Given, errors: Vec<ConfigError>) -> Self {
        Self {
            without_files: false,
            given,
            errors,
            effective: Vec::new(),
        }
    }

    /// Does not look whether the files are there that are named.
    pub(super) fn without_files(self) -> Self {
        Self {
            without_files: true,
            ..self
        }
    }

    pub(super) fn finish(self) -> (Vec<Effective>, Vec<ConfigError>) {
        (self.effective, self.errors)
    }

    /// The value given for `path`, or the default of its row.
    pub(super) fn read<T>(&mut self, path: &str, parse: Parse<T>) -> Result<T, Noted> {
        let key = row(path);
        match (self.given.values.get(path).cloned(), key.default) {
            (Some(value), _) => self.parsed(path, key, &value, parse),
            (None, Fallback::Value(text)) => self.parsed(path, key, &default(text, "default"), parse),
            (None, Fallback::Required) => {
                self.missing(path);
                Err(Noted)
            }
            (None, Fallback::Unset | Fallback::Preset) => unreachable!("{path} has no default of its own"),
        }
    }

    /// The value given for `path`, or `text`, which `preset` chose.
    pub(super) fn read_or<T>(&mut self, path: &str, text: &str, preset: &str, parse: Parse<T>) -> Result<T, Noted> {
        let given = self.given.values.get(path).cloned();
        let value = given.unwrap_or_else(|| default(text, &format!("default (preset {preset})")));
        self.parsed(path, row(path), &value, parse)
    }

    /// The value given for `path`, or nothing at all.
    pub(super) fn optional<T>(&mut self, path: &str, parse: Parse<T>) -> Result<Option<T>, Noted> {
        let key = row(path);
        if let Some(value) = self.given.values.get(path).cloned() {
            return self.parsed(path, key, &value, parse).map(Some);
        }
        self.show(path, key, None, "default");
        Ok(None)
    }

    /// Notes an error about the value of `path`.
    pub(super) fn fault(&mut self, path: &str, fault: Fault) {
        let origin = self.origin(path);
        self.errors.push(fault.at(path, &origin));
    }

    /// Notes an error if `small` is larger than `large`.
    pub(super) fn at_most(&mut self, small: (&str, Result<u64, Noted>), large: (&str, Result<u64, Noted>)) {
        let ((small_path, Ok(small)), (large_path, Ok(large))) = (small, large) else {
            return;
        };
        if small > large {
            let problem = format!(
                "{small} is more than {large}, which is {large_path} ({})",
                self.origin(large_path)
            );
            self.fault(
                small_path,
                Fault::new(problem, format!("lower it, or raise {large_path}")),
            );
        }
    }

    /// Where the value of `path` comes from.
    pub(super) fn origin(&self, path: &str) -> String {
        let value = self.given.values.get(path);
        value.and_then(Value::origin).unwrap_or("default").to_owned()
    }

    /// The text given for `path`, if it is a single value.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.given.values.get(path).and_then(parse::scalar)
    }

    /// Whether something was given for `path`.
    pub(super) fn is_given(&self, path: &str) -> bool {
        self.given.values.contains_key(path)
    }

    /// What was given below `prefix`, which ends with a dot: the rest of each path.
    pub(super) fn below(&self, prefix: &str) -> BTreeSet<String> {
        let paths = self.given.values.keys().chain(&self.given.empty_tables);
        paths
            .filter_map(|path| path.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    }

    fn parsed<T>(&mut self, path: &str, key: &'static Key, value: &Value, parse: Parse<T>) -> Result<T, Noted> {
        let origin = value.origin().unwrap_or_default();
        let parsed = parse(key, value).map_err(|fault| if libpq::is_spread(origin) { unquoted(key) } else { fault });
        match parsed.and_then(|parsed| self.looked_into(key, value).map(|()| parsed)) {
            Ok(parsed) => {
                let shown = if key.is_secret(path) {
                    HIDDEN.to_owned()
                } else {
                    parse::shown(value)
                };
                self.show(path, key, Some(shown), origin);
                Ok(parsed)
            }
            Err(fault) => {
                self.errors.push(fault.at(path, origin));
                Err(Noted)
            }
        }
    }

    /// A wrong name of a file is told now and not at the first connect, unless that was asked for.
    fn looked_into(&self, key: &Key, value: &Value) -> Result<(), Fault> {
        if self.without_files {
            return Ok(());
        }
        match (key.kind, parse::scalar(value)) {
            (Kind::File, Some(path)) => parse::can_be_opened(&path),
            (Kind::SecretFile, Some(path)) => parse::holds_a_secret(&path),
            _ => Ok(()),
        }
    }

    fn missing(&mut self, path: &str) {
        if self.given.incomplete {
            return;
        }
        let variable = environment::variable(path);
        let file = if self.given.has_file {
            "the file"
        } else {
            "a file that --config or OUTBOX_RELAY_CONFIG names (none is named)"
        };
        let remedy = format!("set {path} in {file}, or {variable}, or --set {path}=…");
        self.errors
            .push(Fault::new("is required and not set", remedy).at(path, ""));
    }

    fn show(&mut self, path: &str, key: &'static Key, value: Option<String>, source: &str) {
        self.effective.push(Effective {
            path: path.to_owned(),
            value,
            source: source.to_owned(),
            unit: key.unit(),
            meaning: key.meaning,
        });
    }
}

/// Every path that is read here is written in this crate, except for names that were checked before.
fn row(path: &str) -> &'static Key {
    keys::find(path).unwrap_or_else(|| unreachable!("{path} is not in the key table"))
}

/// A part of a password may have got anywhere in a connection string where it was not encoded.
fn unquoted(key: &Key) -> Fault {
    Fault::new(
        format!("what the connection string says is not {}", key.kind),
        "correct it there; in a password write @ as %40, / as %2F, : as %3A and % as %25",
    )
}

fn default(text: &str, origin: &str) -> Value {
    Value::new(Some(&origin.to_owned()), ValueKind::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::config::keys::KEYS;
    use crate::config::trial::Trial;

    #[test]
    fn every_key_of_the_table_is_read_in_its_order() {
        let secret = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(secret.path(), "x").expect("written");
        let trial = Trial::minimal().flag("outbox.default.retry_rules.money.event_types=paid");
        let trial = trial.flag("kafka.properties.linger.ms=0").flag(&format!(
            "kafka.property_files.ssl.key.password={}",
            secret.path().display()
        ));
        let loaded = trial.load().expect("no error");
        let read: Vec<String> = loaded.effective.into_iter().map(|shown| shown.path).collect();
        let expected = KEYS.iter().map(|key| {
            let path = key
                .path
                .replace("outbox.*", "outbox.default")
                .replace("retry_rules.*", "retry_rules.money")
                .replace("properties.*", "properties.linger.ms");
            path.replace("property_files.*", "property_files.ssl.key.password")
        });
        assert_eq!(read, expected.collect::<Vec<_>>());
    }

    #[test]
    fn an_effective_value_says_where_it_came_from() {
        let trial = Trial::minimal().env("POSTGRES__USER", "u").flag("postgres.port=1");
        let effective = trial.load().expect("no error").effective;
        let source = |path: &str| {
            effective
                .iter()
                .find(|shown| shown.path == path)
                .map(|shown| shown.source.clone())
        };
        assert_eq!(source("postgres.host").as_deref(), Some("default"));
        assert_eq!(
            source("postgres.user").as_deref(),
            Some("environment variable OUTBOX_RELAY_POSTGRES__USER")
        );
        assert_eq!(source("postgres.port").as_deref(), Some("--set postgres.port"));
        assert!(source("postgres.database").is_some_and(|source| source.ends_with("relay.toml line 1")));
        assert_eq!(
            source("outbox.default.columns.id").as_deref(),
            Some("default (preset standard)")
        );
    }

    #[test]
    fn no_secret_is_shown_anywhere() {
        let trial = Trial::minimal()
            .and("postgres.password = 'hunter2'")
            .env("KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2")
            .env("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
            .env("KAFKA__PROPERTIES__SASL_USERNAME", "u")
            .and("kafka.properties.\"ssl.key.pem\" = \"hunter2\\nhunter2\"");
        let loaded = trial.load().expect("no error");
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        let hidden = loaded
            .effective
            .iter()
            .filter(|shown| shown.value.as_deref() == Some("***"));
        assert_eq!(hidden.count(), 3);
    }

    #[test]
    fn a_missing_key_is_set_in_the_file_or_in_one_that_has_to_be_named_first() {
        let unnamed = Trial::empty().errors().to_string();
        assert!(
            unnamed.contains("in a file that --config or OUTBOX_RELAY_CONFIG names") && unnamed.contains("--set"),
            "{unnamed}"
        );
        let named = Trial::of("").errors().to_string();
        assert!(named.contains("set postgres.database in the file, or"), "{named}");
    }

    #[test]
    fn all_errors_are_reported_at_once_each_with_key_source_and_remedy() {
        let errors = Trial::of("postgres.port = 0\nlog.format = 'xml'\nposgres.host = 'x'\nadmin.listen = 'here'")
            .env("PIPELINE__IN_FLIGHT_BYTES_MAX", "65535")
            .flag("postgres.slot=Orders")
            .errors();
        let expected = [
            "admin.listen",
            "kafka.bootstrap_servers",
            "log.format",
            "pipeline.in_flight_bytes_max",
            "posgres.host",
            "postgres.database",
            "postgres.port",
            "postgres.slot",
        ];
        assert_eq!(
            errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
            expected,
            "{errors}"
        );
        assert!(
            errors
                .iter()
                .all(|error| !error.problem.is_empty() && !error.remedy.is_empty())
        );
        let shown = errors.to_string();
        assert!(shown.starts_with("the configuration has 8 errors:"), "{shown}");
        assert!(
            shown.contains("pipeline.in_flight_bytes_max (environment variable OUTBOX_RELAY_PIPELINE__"),
            "{shown}"
        );
        assert!(shown.contains("OUTBOX_RELAY_POSTGRES__DATABASE"), "{shown}");
    }
}

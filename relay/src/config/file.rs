//! The configuration file.
//!
//! The `config` crate reads TOML too, but it forgets the lines, and our errors name them.

use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{ConfigError, Fault};
use super::leaves::Leaves;

/// The keys of the file at `path`, or why there are none.
pub(super) fn read(path: &Path) -> Result<Leaves, ConfigError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::new(
            format!("cannot be read: {error}"),
            "name a readable file with --config or OUTBOX_RELAY_CONFIG, or name none",
        )
        .at("", &origin)
    })?;
    let document = Document {
        name: &origin,
        text: &text,
    };
    let table = DeTable::parse(&text).map_err(|error| {
        Fault::new(
            format!("is not TOML: {}", without_snippet(&error.to_string())),
            "correct the file",
        )
        .at("", &origin)
    })?;
    Ok(Leaves::flatten(document.table(table.into_inner())))
}

/// A file that was read: what its values say of where they stand.
struct Document<'a> {
    name: &'a str,
    text: &'a str,
}

impl Document<'_> {
    fn table(&self, table: DeTable<'_>) -> Map<String, Value> {
        let entry = |(key, value): (Spanned<_>, Spanned<_>)| {
            let origin = self.place(key.span().start);
            (String::from(key.into_inner()), self.value(value.into_inner(), &origin))
        };
        table.into_iter().map(entry).collect()
    }

    fn value(&self, value: DeValue<'_>, origin: &String) -> Value {
        let kind = match value {
            DeValue::String(text) => ValueKind::String(text.into_owned()),
            // Larger than any bound: it is refused with the bounds, as a text that is no number is.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| ValueKind::String(number.to_string()), ValueKind::I64),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| ValueKind::String(number.to_string()), ValueKind::Float),
            DeValue::Boolean(yes) => ValueKind::Boolean(yes),
            DeValue::Datetime(when) => ValueKind::String(when.to_string()),
            DeValue::Array(items) => ValueKind::Array(
                items
                    .into_iter()
                    .map(|item| self.value(item.into_inner(), origin))
                    .collect(),
            ),
            DeValue::Table(table) => ValueKind::Table(self.table(table)),
        };
        Value::new(Some(origin), kind)
    }

    fn place(&self, offset: usize) -> String {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        format!("{} line {line}", self.name)
    }
}

/// The parser quotes the line it stumbled over, and that line may hold a password: keep the place and the reason.
fn without_snippet(message: &str) -> String {
    let is_quote = |line: &str| line.split_once('|').is_some_and(|(number, _)| is_line_number(number));
    let kept: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_quote(line))
        .collect();
    kept.join(": ")
}

fn is_line_number(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::config::trial::Trial;

    #[test]
    fn a_syntax_error_names_file_and_line_and_quotes_nothing() {
        for broken in [
            "password = \"hunter2",
            "password = hunter2",
            "password = \"hunter2\" hunter2",
            "hunter2",
        ] {
            let errors = Trial::of(&format!("[postgres]\n{broken}\n")).errors();
            assert_eq!(errors.iter().count(), 1, "{errors}");
            let shown = errors.to_string();
            assert!(shown.contains("relay.toml") && shown.contains("line 2"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn every_error_about_a_value_names_its_line() {
        let errors = Trial::of(
            "[postgres]\nport = 0\n\ndatabase = [\n  'a',\n]\n[kafka]\nbootstrap_servers = 'b:1'\n\
             [kafka.properties]\nzzz.b = {\n c = 1 }\n[unknown]\n[[list]]\na = 1",
        )
        .errors();
        let places: Vec<_> = errors
            .iter()
            .map(|error| (error.key.as_str(), error.origin.rsplit(' ').next().unwrap_or_default()))
            .collect();
        let expected = [
            ("kafka.properties.zzz.b.c", "11"),
            ("list", "13"),
            ("postgres.database", "4"),
            ("postgres.port", "2"),
            ("unknown", "12"),
        ];
        assert_eq!(places, expected, "{errors}");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let errors = Trial::empty().with_file("/no/such/file.toml").errors();
        assert!(
            errors.to_string().contains("/no/such/file.toml\n    cannot be read"),
            "{errors}"
        );
    }

    #[test]
    fn errors_in_the_environment_are_reported_beside_those_of_a_broken_file() {
        let errors = Trial::of("[postgres").env("POSTGRES__PORT", "0").errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["", "postgres.port"], "{errors}");
    }
}

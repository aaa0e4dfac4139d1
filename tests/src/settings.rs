//! A configuration of the relay, written as TOML.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// Keys as the relay names them, such as `postgres.host`, with their values.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// Sets a key, or replaces its value. A name inside `kafka.properties` needs quotes when it has a dot.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Sets everything that the other one sets.
    pub fn extend(&mut self, other: &Settings) {
        self.0.extend(other.0.clone());
    }

    /// The text of a key that was set.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Dotted keys with JSON texts, numbers and lists, all of which are TOML as well.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_toml() {
        let mut settings = Settings::default();
        settings.set("postgres.port", 5432);
        settings.set("outbox.default.table", "a \"b\"");
        assert_eq!(
            settings.to_string(),
            "outbox.default.table = \"a \\\"b\\\"\"\npostgres.port = 5432\n"
        );
    }
}

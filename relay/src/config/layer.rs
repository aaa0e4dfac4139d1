//! One source after the check: only known keys, no refused property, no secret from a flag.

use std::collections::BTreeMap;
use std::fmt;

use config::{Map, Source, Value, ValueKind};

use super::errors::{ConfigError, Fault};
use super::key::Kind;
use super::leaves::{Leaf, Leaves};
use super::{environment, keys, nearest, parse, properties, refused};

/// How a value came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    File,
    Environment,
    Flags,
}

/// The admitted part of one source, as the `config` crate merges it: tables in tables, but a property's whole name
/// is one name.
#[derive(Clone, Default)]
pub(super) struct Layer {
    values: BTreeMap<String, Value>,
    empty_tables: Vec<String>,
}

impl Layer {
    pub(super) fn admit(channel: Channel, leaves: Leaves, errors: &mut Vec<ConfigError>) -> Self {
        let mut layer = Self::default();
        for Leaf { path, value } in leaves.values {
            let origin = value.origin().unwrap_or_default().to_owned();
            if let Err(fault) = layer.insert(channel, &path, value) {
                errors.push(fault.at(&path, &origin));
            }
        }
        for (path, origin) in leaves.empty_tables {
            if keys::is_section(&path) {
                layer.empty_tables.push(path);
            } else {
                errors.push(unknown(channel, &path).at(&path, &origin));
            }
        }
        layer
    }

    /// What is given for `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        self.values.get(path)
    }

    /// Gives a value for `path`, over any other of this layer.
    pub(super) fn put(&mut self, path: &str, value: Value) {
        self.values.insert(path.to_owned(), value);
    }

    /// Makes what lower layers give for `path` count for nothing.
    pub(super) fn take_back(&mut self, path: &str) {
        self.put(path, Value::new(None, ValueKind::Nil));
    }

    fn insert(&mut self, channel: Channel, path: &str, value: Value) -> Result<(), Fault> {
        let key = keys::find(path).ok_or_else(|| unknown(channel, path))?;
        if channel == Channel::Flags && key.is_secret(path) {
            return Err(on_the_command_line(path));
        }
        let path = match properties::split(path) {
            Some((prefix, name)) => {
                refuse(key.kind, name, &value)?;
                format!("{prefix}{}", properties::canonical(name))
            }
            None => path.to_owned(),
        };
        let origin = value.origin().unwrap_or_default().to_owned();
        match self.values.insert(path.clone(), value) {
            None => Ok(()),
            Some(other) => Err(Fault::new(
                format!(
                    "sets {path}, which {} sets too",
                    other.origin().filter(|o| *o != origin).unwrap_or("this source")
                ),
                "keep one of the two",
            )),
        }
    }
}

fn refuse(kind: Kind, name: &str, value: &Value) -> Result<(), Fault> {
    let text = if kind == Kind::Property {
        parse::scalar(value)
    } else {
        None
    };
    match refused::find(name, text.as_deref()) {
        Some(row) => Err(Fault::new(format!("is refused: {}", row.reason), row.instead)),
        None => Ok(()),
    }
}

fn unknown(channel: Channel, path: &str) -> Fault {
    let spell = |path: &str| match channel {
        Channel::Environment => environment::variable(path),
        Channel::File | Channel::Flags => path.to_owned(),
    };
    // outbox.topic is more likely a topic without its outbox than an outbox called topic.
    if keys::is_section(path) && !nearest::ends_like_a_key(path) {
        return Fault::new(
            "is a section, not a key",
            format!("set one of the keys below it, such as {}", spell(&nearest::below(path))),
        );
    }
    let remedy = match nearest::to(path) {
        Some(near) => format!("did you mean {}?", spell(&near)),
        None => "remove it; the annotated example file shows every key".to_owned(),
    };
    Fault::new("there is no such key", remedy)
}

fn on_the_command_line(path: &str) -> Fault {
    let alternative = match properties::split(path) {
        Some((_, name)) => format!("kafka.property_files.\"{name}\""),
        None => format!("{path}_file"),
    };
    Fault::new(
        "a secret is not taken from a flag: every process on the machine can read the command line",
        format!(
            "put it into a file and name that with {alternative}, or set {}",
            environment::variable(path)
        ),
    )
}

// Written by hand: a derived one would show secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.values.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let mut root = Map::new();
        for (path, value) in &self.values {
            match properties::split(path) {
                Some((prefix, name)) => {
                    let sections: Vec<&str> = prefix.trim_end_matches('.').split('.').chain([name]).collect();
                    place(&mut root, &sections, value.clone());
                }
                None => place(&mut root, &path.split('.').collect::<Vec<_>>(), value.clone()),
            }
        }
        for path in &self.empty_tables {
            place(
                &mut root,
                &path.split('.').collect::<Vec<_>>(),
                Value::new(None, Map::<String, Value>::new()),
            );
        }
        Ok(root)
    }
}

fn place(table: &mut Map<String, Value>, names: &[&str], value: Value) {
    let Some((name, rest)) = names.split_first() else {
        return;
    };
    if rest.is_empty() {
        table.insert((*name).to_owned(), value);
        return;
    }
    let entry = table
        .entry((*name).to_owned())
        .or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
    if let ValueKind::Table(inner) = &mut entry.kind {
        place(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::trial::Trial;

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let errors = Trial::minimal().and("postgres.prot = 5433").errors();
        let shown = errors.to_string();
        assert!(shown.contains("postgres.prot ("), "{shown}");
        assert!(shown.contains("did you mean postgres.port?"), "{shown}");
    }

    #[test]
    fn an_empty_table_that_is_no_section_is_refused() {
        let errors = Trial::minimal().and("[postgress]").errors();
        assert_eq!(
            errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
            ["postgress"]
        );
    }

    #[test]
    fn a_value_for_a_section_is_refused() {
        let errors = Trial::minimal().and("admin = '127.0.0.1:1'").errors();
        assert!(errors.to_string().contains("is a section"), "{errors}");
        assert!(errors.to_string().contains("admin.listen"), "{errors}");
    }

    #[test]
    fn a_key_of_an_outbox_without_the_outbox_is_refused_with_the_place_for_it() {
        let errors = Trial::minimal().and("outbox.topic = 't'").errors();
        assert!(
            errors.to_string().contains("did you mean outbox.<name>.topic?"),
            "{errors}"
        );
    }

    #[test]
    fn properties_may_be_quoted_or_nested_and_mean_the_same() {
        let file = "[kafka.properties]\n\"linger.ms\" = 1\nsecurity.protocol = 'ssl'\nssl.ca = { location = '/ca' }";
        let properties = Trial::minimal()
            .and(file)
            .load()
            .expect("no error")
            .settings
            .kafka
            .properties;
        let found: Vec<_> = properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("linger.ms", "1"),
                ("security.protocol", "ssl"),
                ("ssl.ca.location", "/ca")
            ]
        );
    }

    #[test]
    fn the_name_of_one_property_may_begin_the_name_of_another() {
        let trial = Trial::minimal()
            .flag("kafka.properties.a=1")
            .flag("kafka.properties.a.b=2");
        // There are none such; that both are told shows that neither has swallowed the other.
        let errors = trial.errors();
        let keys: Vec<_> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["kafka.properties.a", "kafka.properties.a.b"]);
    }

    #[test]
    fn two_names_of_one_property_in_one_file_are_refused() {
        let errors = Trial::minimal()
            .and("[kafka.properties]\ncompression = {type = 'lz4', codec = 'zstd'}")
            .errors();
        assert!(errors.to_string().contains("keep one of the two"), "{errors}");
    }

    #[test]
    fn a_property_that_breaks_a_promise_is_refused_by_its_name_from_every_layer() {
        let errors = Trial::minimal()
            .and("kafka.properties.\"enable.idempotence\" = false")
            .env("KAFKA__PROPERTIES__REQUEST_REQUIRED_ACKS", "1")
            .flag("kafka.properties.message.timeout.ms=1000")
            .and("kafka.property_files.\"transactional.id\" = '/x'")
            .errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        let expected = ["enable.idempotence", "message.timeout.ms", "request.required.acks"];
        let mut expected: Vec<String> = expected.iter().map(|name| format!("kafka.properties.{name}")).collect();
        expected.push("kafka.property_files.transactional.id".to_owned());
        assert_eq!(keys, expected);
        assert!(
            errors
                .iter()
                .all(|error| error.problem.starts_with("is refused: ") && !error.remedy.is_empty())
        );
    }
}

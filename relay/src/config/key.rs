//! What one row of the key table says.

use std::fmt;

use super::properties;

/// One row of the table.
#[derive(Debug)]
pub struct Key {
    /// Dotted path. `*` stands for the name of an outbox; at the end, for the whole name of a librdkafka property.
    pub path: &'static str,
    /// What a value must look like.
    pub kind: Kind,
    /// What holds when nothing is given.
    pub default: Fallback,
    /// What the key does, in one sentence.
    pub meaning: &'static str,
    /// What else is worth knowing; may be empty.
    pub note: &'static str,
    /// What people write there, where the default does not show it; of a property `name=value`.
    pub examples: &'static [&'static str],
}

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that is not empty.
    Text,
    /// A name in PostgreSQL: 1 to 63 bytes.
    Identifier,
    /// A column of the outbox table; empty means that the table has none.
    Column,
    /// `[a-z0-9_]{1,63}`, the names PostgreSQL accepts for a replication slot.
    SlotName,
    /// A whole number between two bounds, both included.
    Whole {
        /// What one of them is; empty for a plain number.
        unit: &'static str,
        /// The smallest value accepted.
        min: u64,
        /// The largest value accepted.
        max: u64,
    },
    /// Yes or no: `true` or `false`.
    Switch,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Texts; in the environment and in flags separated by commas.
    List,
    /// An IP address with a port.
    Address,
    /// A topic name with placeholders in braces.
    Topic,
    /// The name of one topic.
    TopicName,
    /// A `tracing` filter.
    Filter,
    /// A value that is never printed and never taken from the command line.
    Secret,
    /// A file that holds a secret.
    SecretFile,
    /// A file.
    File,
    /// Servers, each as `host` or `host:port`; a list, or separated by commas.
    Hosts,
    /// A librdkafka property, handed through.
    Property,
}

/// What holds when nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The relay cannot start without it.
    Required,
    /// The key may stay without a value.
    Unset,
    /// The outbox's preset decides.
    Preset,
    /// This text, read as if it had been given.
    Value(&'static str),
}

impl Key {
    /// Adds what else is worth knowing.
    #[must_use]
    pub const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Adds what people write there.
    #[must_use]
    pub const fn examples(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }

    /// The unit of the value; empty where a unit makes no sense.
    pub fn unit(&self) -> &'static str {
        match self.kind {
            Kind::Whole { unit, .. } => unit,
            _ => "",
        }
    }

    /// Whether the value at `path`, which this row describes, must never be shown.
    pub fn is_secret(&self, path: &str) -> bool {
        match self.kind {
            Kind::Secret => true,
            Kind::Property => path.strip_prefix(properties::PREFIX).is_some_and(properties::is_secret),
            _ => false,
        }
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        if let Some(prefix) = self.path.strip_suffix('*') {
            return path.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
        }
        let mut given = path.split('.');
        let pattern_fits = self.path.split('.').all(|part| match (part, given.next()) {
            (_, None | Some("")) => false,
            ("*", Some(_)) => true,
            (part, Some(segment)) => part == segment,
        });
        pattern_fits && given.next().is_none()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => out.write_str("text"),
            Self::Identifier => out.write_str("a PostgreSQL name of 1 to 63 bytes"),
            Self::Column => out.write_str("a column name, or \"\" when the table has no such column"),
            Self::SlotName => out.write_str("1 to 63 of the characters a-z, 0-9 and _"),
            Self::Whole { unit: "", min, max } => write!(out, "a whole number from {min} to {max}"),
            Self::Whole { unit, min, max } => write!(out, "a whole number of {unit} from {min} to {max}"),
            Self::Switch => out.write_str("true or false"),
            Self::Choice(words) => write!(out, "one of {}", words.join(", ")),
            Self::List => out.write_str("a list of texts"),
            Self::Address => out.write_str("an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464"),
            Self::Topic => out.write_str("a topic name with placeholders, such as outbox.event.{aggregate_type}"),
            Self::TopicName => {
                out.write_str("the name of a topic: 1 to 249 ASCII letters, digits and the characters . _ -")
            }
            Self::Filter => out.write_str("a tracing filter, such as info or info,outbox_relay::kafka=debug"),
            Self::Secret => out.write_str("a secret text"),
            Self::File => out.write_str("the path of a file"),
            Self::Hosts => out.write_str("hosts, each as a name, an address or a socket directory, perhaps with :port"),
            Self::SecretFile => out.write_str("the path of a file that holds the secret"),
            Self::Property => out.write_str("the value of a librdkafka property"),
        }
    }
}

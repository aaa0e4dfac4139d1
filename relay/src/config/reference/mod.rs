//! The key table, as people and their editors read it: a reference, a schema, an annotated example.
//!
//! What stands in the repository is what these functions return; a test compares.

mod example;
mod libpq;
mod markdown;
mod schema;
mod sections;
#[cfg(test)]
mod tests;

pub use example::example;
pub use markdown::reference;
pub use schema::schema;

use super::key::{Fallback, Key, Kind};
use super::keys::KEYS;
use outbox_decoder::Columns;
use sections::SECTIONS;

/// The keys of one table of the file, in the order of the key table.
struct Section {
    /// With `*` for the name of an outbox.
    path: &'static str,
    intro: &'static str,
    keys: Vec<&'static Key>,
}

/// All keys, by section.
fn sections() -> Vec<Section> {
    let of = |&(path, intro): &(&'static str, &'static str)| Section {
        path,
        intro,
        keys: KEYS.iter().filter(|key| split(key).0 == path).collect(),
    };
    SECTIONS.iter().map(of).collect()
}

/// Section and name of a key.
fn split(key: &Key) -> (&'static str, &'static str) {
    key.path.rsplit_once('.').unwrap_or(("", key.path))
}

/// What holds when nothing is given, as text; `None` where that is nothing.
fn default(key: &Key) -> Option<String> {
    match key.default {
        Fallback::Value(text) => Some(text.to_owned()),
        Fallback::Preset => Some(standard_column(split(key).1)),
        Fallback::Required | Fallback::Unset => None,
    }
}

fn standard_column(part: &str) -> String {
    let columns = Columns::standard();
    let column = match part {
        "id" => columns.id,
        "aggregate_type" => Some(columns.aggregate_type),
        "aggregate_id" => columns.aggregate_id,
        "event_type" => columns.event_type,
        "payload" => Some(columns.payload),
        "metadata" => columns.metadata,
        "created_at" => columns.created_at,
        "version" => columns.version,
        part => unreachable!("no part of a record is called {part}"),
    };
    column.unwrap_or_default()
}

/// A value as JSON and TOML both write it.
fn literal(kind: Kind, text: &str) -> serde_json::Value {
    match kind {
        Kind::Whole { .. } => text.parse::<u64>().map_or_else(|_| text.into(), Into::into),
        Kind::Switch => (text == "true").into(),
        Kind::List => text.split(',').collect(),
        Kind::Hosts if text.contains(',') => text.split(',').collect(),
        _ => text.into(),
    }
}

/// The same as text, with a space behind each comma.
fn written(kind: Kind, text: &str) -> String {
    match literal(kind, text) {
        serde_json::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(ToString::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}

//! The values of one source, each with its dotted path and its origin.

use config::{Map, Value, ValueKind};

/// One value of one layer. The value remembers its origin.
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) value: Value,
}

/// What one source gives: values by path, and tables without a value, because `[outbox.orders]` alone is an outbox.
#[derive(Default)]
pub(super) struct Leaves {
    pub(super) values: Vec<Leaf>,
    /// Path and origin.
    pub(super) empty_tables: Vec<(String, String)>,
}

impl Leaves {
    pub(super) fn of(values: Vec<Leaf>) -> Self {
        Self {
            values,
            empty_tables: Vec::new(),
        }
    }

    /// All leaves of a tree; one without an origin has that of its table.
    pub(super) fn flatten(root: Map<String, Value>) -> Self {
        let mut leaves = Self::default();
        for (name, value) in root {
            leaves.descend(name, value, None);
        }
        leaves.values.sort_by(|one, other| one.path.cmp(&other.path));
        leaves
    }

    fn descend(&mut self, path: String, value: Value, origin: Option<&String>) {
        let known = value.origin().map(str::to_owned);
        let origin = known.as_ref().or(origin);
        match value.kind {
            ValueKind::Table(table) if table.is_empty() => {
                self.empty_tables.push((path, origin.cloned().unwrap_or_default()));
            }
            ValueKind::Table(table) => {
                for (name, value) in table {
                    self.descend(format!("{path}.{name}"), value, origin);
                }
            }
            kind => self.values.push(Leaf {
                path,
                value: Value::new(origin, kind),
            }),
        }
    }
}

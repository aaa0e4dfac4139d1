//! From the insert of an outbox row to its envelope.
//!
//! A [`RelationBody`] is compiled into a plan once; each row then is one walk over its columns. Plans are found by the
//! oid inside the Insert and replaced whenever the server describes a table anew, because columns come, go and change
//! their order in mid-stream.

mod columns;
mod envelope;
mod metadata;
mod plan;
mod remains;
mod value;

use std::collections::HashMap;

pub use columns::{Columns, OutboxTable};
pub use envelope::{Envelope, IdempotencyKey, OWN_HEADERS};
pub use metadata::METADATA_HEADERS_MAX;
pub use remains::Remains;

use crate::pgoutput::{RelationBody, Tuple};
use crate::{DecodeError, MappingError, Position, Timestamp};
use plan::Plan;

/// Turns rows into envelopes. Holds what the server has told of its tables on this connection.
#[derive(Debug)]
pub struct OutboxDecoder {
    tables: Vec<OutboxTable>,
    system_identifier: u64,
    routes: HashMap<u32, Route>,
    /// The base types of domains, which the server names before the first table that uses them.
    domains: HashMap<u32, u32>,
}

/// A table that was described: how to read its rows, or why that is impossible.
///
/// Impossible is no error before a row comes: the server also describes tables whose rows it does not send.
#[derive(Debug)]
enum Route {
    Mapped(Box<Plan>),
    Refused(MappingError),
}

/// Why a row gave no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The bytes are no row.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The row does not fit its mapping.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

impl OutboxDecoder {
    /// `system_identifier` is the database cluster's: part of the keys of rows that have no id of their own.
    ///
    /// # Panics
    /// With more than 65,535 tables.
    pub fn new(tables: Vec<OutboxTable>, system_identifier: u64) -> Self {
        assert!(u16::try_from(tables.len()).is_ok(), "too many outbox tables");
        Self {
            tables,
            system_identifier,
            routes: HashMap::new(),
            domains: HashMap::new(),
        }
    }

    /// A new connection describes its tables anew.
    pub fn forget_relations(&mut self) {
        self.routes.clear();
        self.domains.clear();
    }

    /// Takes a type that is not built in. Of a domain the server sends the base type's name; an enum has its own.
    pub fn describe_type(&mut self, oid: u32, schema: &str, name: &str) {
        if let (true, Some(base)) = (schema.is_empty(), value::built_in(name)) {
            self.domains.insert(oid, base);
        }
    }

    /// Takes a table's description and replaces an earlier one.
    ///
    /// # Errors
    /// The description cannot be read. That no outbox is mapped to the table is not an error yet.
    pub fn describe(&mut self, relation: &RelationBody<'_>) -> Result<(), DecodeError> {
        let schema = if relation.schema.is_empty() {
            "pg_catalog"
        } else {
            relation.schema
        };
        let mut tables = (0..).zip(&self.tables);
        let table = tables.find(|(_, table)| table.schema == schema && table.table == relation.table);
        let route = match table {
            None => Route::Refused(MappingError::UnmappedTable {
                table: format!("{schema}.{}", relation.table),
            }),
            Some((outbox, table)) => match Plan::new(outbox, table, relation, &self.domains)? {
                Ok(plan) => Route::Mapped(Box::new(plan)),
                Err(refusal) => Route::Refused(refusal),
            },
        };
        self.routes.insert(relation.oid, route);
        Ok(())
    }

    /// The envelope of one row.
    ///
    /// # Errors
    /// See [`RowError`]. Either way the decoder is as before, and the same row may be tried again.
    pub fn envelope<'e>(
        &'e mut self,
        oid: u32,
        tuple: Tuple<'e>,
        position: Position,
        committed_at: Timestamp,
    ) -> Result<Envelope<'e>, RowError> {
        match self.routes.get_mut(&oid) {
            Some(Route::Mapped(plan)) => plan.envelope(tuple, position, committed_at, self.system_identifier),
            Some(Route::Refused(refusal)) => Err(refusal.clone().into()),
            None => Err(DecodeError::UnknownRelation { oid }.into()),
        }
    }

    /// What can be read of a row that gives no envelope; `None` where its table is to blame, not the row.
    pub fn remains<'e>(
        &'e self,
        oid: u32,
        tuple: Tuple<'e>,
        position: Position,
        committed_at: Timestamp,
    ) -> Option<Remains<'e>> {
        match self.routes.get(&oid)? {
            Route::Mapped(plan) => plan.remains(tuple, position, committed_at, self.system_identifier),
            Route::Refused(_) => None,
        }
    }
}

//! The publication: what it leaves out never comes, and nothing says so.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use crate::config::{OutboxSettings, Settings};
use crate::fault::{Fault, FaultCode};
use crate::postgres::error::PostgresError;
use crate::postgres::policy;

/// The tables of a publication, the columns of each that it leaves out, and the condition that a row must meet. Before
/// PostgreSQL 15 only generated columns were left out, and every row met it.
const TABLES: &str = "
    SELECT held.schemaname::text, held.tablename::text, to_jsonb(held) ->> 'rowfilter', ARRAY(
        SELECT attname::text
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = held.schemaname AND relname = held.tablename AND attnum > 0 AND NOT attisdropped
            AND NOT coalesce(to_jsonb(held) -> 'attnames' ? attname::text, attgenerated = ''))
    FROM pg_publication_tables AS held WHERE pubname = $1";

/// What a publication holds of one table.
#[derive(Debug, Default)]
struct Held {
    row_filter: Option<String>,
    columns_left_out: Vec<String>,
}

type Tables = BTreeMap<(String, String), Held>;

/// A publication that is as it must be.
#[derive(Debug)]
pub struct Published(Tables);

impl Published {
    /// The condition that a row of the table must meet to be in the stream, if there is one.
    pub fn row_filter(&self, schema: &str, table: &str) -> Option<&str> {
        let held = self.0.get(&(schema.to_owned(), table.to_owned()))?;
        held.row_filter.as_deref()
    }

    /// Says which rows the operator has chosen never to publish. That may be meant, as where several relays share a table.
    pub(super) fn warn_of_row_filters(&self, publication: &str) {
        for ((schema, table), held) in &self.0 {
            if let Some(filter) = &held.row_filter {
                tracing::warn!(
                    "publication {publication} holds only rows of {schema}.{table} WHERE {filter}: the others are never \
                     published by this relay"
                );
            }
        }
    }
}

/// Checks that the publication exists, publishes inserts, and holds exactly the tables that outboxes are mapped to, with
/// all the columns that they are mapped to.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check_publication(client: &Client, settings: &Settings) -> Result<Published, Fault> {
    publication_fits(client, settings)
        .await
        .map_err(|error| policy::fault(&error, &settings.postgres))?
}

async fn publication_fits(client: &Client, settings: &Settings) -> Result<Result<Published, Fault>, PostgresError> {
    let name = &settings.postgres.publication;
    let publication = client
        .query_opt("SELECT pubinsert FROM pg_publication WHERE pubname = $1", &[name])
        .await?;
    let Some(publication) = publication else {
        return Ok(Err(Fault::new(
            FaultCode::PublicationMissing,
            format!(
                "publication {name} does not exist in database {}",
                settings.postgres.database
            ),
            "correct postgres.database, or run `outbox-relay migrate`; the publication must be there before the slot",
        )));
    };
    if !publication.try_get::<_, bool>(0)? {
        return Ok(Err(Fault::new(
            FaultCode::PublicationWithoutInserts,
            format!("publication {name} does not publish inserts"),
            format!("ALTER PUBLICATION \"{name}\" SET (publish = 'insert')"),
        )));
    }
    let published = tables(client, name).await?;
    let outboxes = || settings.outbox.values();
    let fits =
        compare_tables(name, &published, outboxes()).and_then(|()| compare_columns(name, &published, outboxes()));
    Ok(fits.map(|()| Published(published)))
}

async fn tables(client: &Client, publication: &str) -> Result<Tables, PostgresError> {
    let rows = client.query(TABLES, &[&publication]).await?;
    let held = rows.iter().map(|row| {
        let held = Held {
            row_filter: row.try_get(2)?,
            columns_left_out: row.try_get(3)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), held))
    });
    held.collect()
}

/// A mapped table that is not published would be silent; a published table that is not mapped would stop the line.
fn compare_tables<'a>(
    publication: &str,
    published: &Tables,
    outboxes: impl Iterator<Item = &'a OutboxSettings>,
) -> Result<(), Fault> {
    let published: BTreeSet<_> = published.keys().cloned().collect();
    let mapped: BTreeSet<_> = outboxes.map(name).collect();
    if let Some((schema, table)) = mapped.difference(&published).next() {
        let is_partitioned = "(of a partitioned table: with publish_via_partition_root = true)";
        return Err(Fault::new(
            FaultCode::PublicationWithoutTable,
            format!("publication {publication} does not hold table {schema}.{table}, which an outbox is mapped to"),
            format!(
                "run `outbox-relay migrate`, or ALTER PUBLICATION \"{publication}\" ADD TABLE \
                     \"{schema}\".\"{table}\" {is_partitioned}; rows written before that are not in the stream"
            ),
        ));
    }
    match published.difference(&mapped).next() {
        None => Ok(()),
        Some((schema, table)) => Err(Fault::new(
            FaultCode::TableNotMapped,
            format!("publication {publication} holds table {schema}.{table}, and no outbox is mapped to it"),
            format!(
                "add an [outbox.<name>] with schema = \"{schema}\" and table = \"{table}\" (with any [outbox] section, the \
                     one called default has to be there too if it is meant), or, if nobody writes to it, take it out: \
                     ALTER PUBLICATION \"{publication}\" DROP TABLE \"{schema}\".\"{table}\""
            ),
        )),
    }
}

fn name(outbox: &OutboxSettings) -> (String, String) {
    (outbox.schema.clone(), outbox.table.clone())
}

/// A column that the table has and the publication leaves out would be missing in every record, and nothing would say so.
fn compare_columns<'a>(
    publication: &str,
    published: &Tables,
    mut outboxes: impl Iterator<Item = &'a OutboxSettings>,
) -> Result<(), Fault> {
    let left_out = outboxes.find_map(|outbox| {
        let held = published.get(&name(outbox))?;
        let is_left_out = |(_, column): &(_, &String)| held.columns_left_out.contains(column);
        Some((outbox, parts(outbox).find(is_left_out)?))
    });
    let Some((OutboxSettings { schema, table, .. }, (part, column))) = left_out else {
        return Ok(());
    };
    Err(Fault::new(
        FaultCode::PublicationWithoutColumn,
        format!(
            "publication {publication} leaves out column {column} of table {schema}.{table}, which is the outbox's \
             {part}"
        ),
        format!(
            "list it in ALTER PUBLICATION \"{publication}\" SET TABLE \"{schema}\".\"{table}\" (...), or list none; a \
             generated column must be STORED and needs PostgreSQL 18 and publish_generated_columns = stored; if \
             records shall do without it, set columns.{part} = \"\" for this outbox. Rows written before that are in \
             the stream without it"
        ),
    ))
}

/// The columns that make a record, each with its part.
fn parts(outbox: &OutboxSettings) -> impl Iterator<Item = (&'static str, &String)> {
    let columns = &outbox.columns;
    let metadata = columns
        .metadata
        .as_ref()
        .filter(|_| !outbox.metadata_headers.is_empty());
    let parts = [
        ("id", columns.id.as_ref()),
        ("aggregate_type", Some(&columns.aggregate_type)),
        ("aggregate_id", columns.aggregate_id.as_ref()),
        ("event_type", columns.event_type.as_ref()),
        ("payload", Some(&columns.payload)),
        ("metadata", metadata),
        ("created_at", columns.created_at.as_ref()),
        ("version", columns.version.as_ref()),
    ];
    parts.into_iter().filter_map(|(part, column)| Some((part, column?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trial::Trial;

    fn compare(published: &[&str], mapped: &[&str]) -> Result<(), FaultCode> {
        let published = published
            .iter()
            .map(|table| (("public".to_owned(), (*table).to_owned()), Held::default()))
            .collect();
        let outboxes = mapped.iter().fold(Trial::minimal(), |trial, table| {
            trial.flag(&format!("outbox.{table}.table={table}"))
        });
        let outboxes = outboxes.load().expect("no error").settings.outbox;
        compare_tables("p", &published, outboxes.values()).map_err(|fault| fault.code)
    }

    #[test]
    fn publication_and_mapping_must_hold_the_same_tables() {
        assert_eq!(compare(&["a", "b"], &["b", "a"]), Ok(()));
        assert_eq!(compare(&["a"], &["a", "b"]), Err(FaultCode::PublicationWithoutTable));
        assert_eq!(compare(&["a", "b"], &["a"]), Err(FaultCode::TableNotMapped));
    }
}

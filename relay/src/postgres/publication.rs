//! The publication: what it leaves out never comes, and nothing says so.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::config::{OutboxSettings, Settings};
use crate::fault::{Fault, FaultCode};
use crate::postgres::error::PostgresError;
use crate::postgres::policy;

/// Checks that the publication exists, publishes inserts, and holds exactly the tables that outboxes are mapped to.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check_publication(client: &Client, settings: &Settings) -> Result<(), Fault> {
    publication_fits(client, settings)
        .await
        .map_err(|error| policy::fault(&error, &settings.postgres))?
}

async fn publication_fits(client: &Client, settings: &Settings) -> Result<Result<(), Fault>, PostgresError> {
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
    let tables = client
        .query(
            "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1",
            &[name],
        )
        .await?;
    let mut published = BTreeSet::new();
    for row in &tables {
        published.insert((row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?));
    }
    Ok(compare_tables(name, &published, settings.outbox.values()))
}

/// A mapped table that is not published would be silent; a published table that is not mapped would stop the line.
fn compare_tables<'a>(
    publication: &str,
    published: &BTreeSet<(String, String)>,
    outboxes: impl Iterator<Item = &'a OutboxSettings>,
) -> Result<(), Fault> {
    let mapped: BTreeSet<_> = outboxes
        .map(|outbox| (outbox.schema.clone(), outbox.table.clone()))
        .collect();
    if let Some((schema, table)) = mapped.difference(published).next() {
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
                "add an [outbox.<name>] with schema = \"{schema}\" and table = \"{table}\", or take it out: \
                     ALTER PUBLICATION \"{publication}\" DROP TABLE \"{schema}\".\"{table}\""
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use outbox_decoder::Columns;

    fn compare(published: &[&str], mapped: &[&str]) -> Result<(), FaultCode> {
        let published = published
            .iter()
            .map(|table| ("public".to_owned(), (*table).to_owned()))
            .collect();
        let outboxes: Vec<_> = mapped
            .iter()
            .map(|table| OutboxSettings {
                schema: "public".to_owned(),
                table: (*table).to_owned(),
                columns: Columns::standard(),
                topic: "x".parse().unwrap(),
                metadata_headers: Vec::new(),
            })
            .collect();
        compare_tables("p", &published, outboxes.iter()).map_err(|fault| fault.code)
    }

    #[test]
    fn publication_and_mapping_must_hold_the_same_tables() {
        assert_eq!(compare(&["a", "b"], &["b", "a"]), Ok(()));
        assert_eq!(compare(&["a"], &["a", "b"]), Err(FaultCode::PublicationWithoutTable));
        assert_eq!(compare(&["a", "b"], &["a"]), Err(FaultCode::TableNotMapped));
    }
}

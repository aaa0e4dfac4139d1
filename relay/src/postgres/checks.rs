//! What must be true before streaming may start. Each check that fails is a fault with its remedy.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::config::{OutboxSettings, Settings};
use crate::fault::Fault;
use crate::postgres::advisory::Remembered;
use crate::postgres::error::PostgresError;
use crate::postgres::policy;
use crate::postgres::replication::{Identity, ReplicationConnection};

/// A slot that can be streamed from: it exists, is ours to use, and its publication holds what the configuration maps.
#[derive(Debug)]
pub struct CheckedSlot {
    name: String,
    publication: String,
}

impl CheckedSlot {
    /// The slot's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The publication that the stream is filtered by.
    pub fn publication(&self) -> &str {
        &self.publication
    }

    /// Checks server, publication and slot.
    ///
    /// # Errors
    /// The first thing that is not as it must be. `slot_active` means that another relay holds the slot.
    pub async fn check(client: &Client, settings: &Settings) -> Result<Self, Fault> {
        let postgres = &settings.postgres;
        let failed = |error: PostgresError| policy::fault(&error, postgres);
        check_wal_level(client).await.map_err(failed)??;
        check_not_synchronous(client, &postgres.application_name)
            .await
            .map_err(failed)??;
        check_publication(client, settings).await?;
        check_slot(client, &postgres.slot, &postgres.database)
            .await
            .map_err(failed)??;
        Ok(Self {
            name: postgres.slot.clone(),
            publication: postgres.publication.clone(),
        })
    }
}

async fn show(client: &Client, parameter: &str) -> Result<String, PostgresError> {
    Ok(client
        .query_one("SELECT current_setting($1)", &[&parameter])
        .await?
        .try_get(0)?)
}

async fn check_wal_level(client: &Client) -> Result<Result<(), Fault>, PostgresError> {
    let level = show(client, "wal_level").await?;
    Ok(if level == "logical" {
        Ok(())
    } else {
        Err(Fault::environment(
            "wal_level_too_low",
            format!("PostgreSQL has wal_level = {level}, and a logical slot needs logical"),
            "ALTER SYSTEM SET wal_level = 'logical' and restart the server (Amazon RDS: rds.logical_replication = 1)",
        ))
    })
}

/// A synchronous standby makes every commit of the cluster wait for Kafka.
async fn check_not_synchronous(client: &Client, application_name: &str) -> Result<Result<(), Fault>, PostgresError> {
    let names = show(client, "synchronous_standby_names").await?;
    let listed = names.split(['(', ')', ',', ' ']).map(|name| name.trim_matches('"'));
    let is_synchronous = listed
        .into_iter()
        .any(|name| name == "*" || name.eq_ignore_ascii_case(application_name));
    Ok(if is_synchronous {
        Err(Fault::environment(
            "relay_is_synchronous_standby",
            format!(
                "synchronous_standby_names = '{names}' makes this relay a synchronous standby: every commit would \
                     wait for Kafka"
            ),
            format!("name the real standbys there, without * and without {application_name}"),
        ))
    } else {
        Ok(())
    })
}

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
        return Ok(Err(Fault::environment(
            "publication_missing",
            format!(
                "publication {name} does not exist in database {}",
                settings.postgres.database
            ),
            "run `outbox-relay migrate`; the publication must be there before the slot",
        )));
    };
    if !publication.try_get::<_, bool>(0)? {
        return Ok(Err(Fault::environment(
            "publication_without_inserts",
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
        return Err(Fault::environment(
            "publication_without_table",
            format!("publication {publication} does not hold table {schema}.{table}, which an outbox is mapped to"),
            format!(
                "run `outbox-relay migrate`, or ALTER PUBLICATION \"{publication}\" ADD TABLE \
                     \"{schema}\".\"{table}\" {is_partitioned}; rows written before that are not in the stream"
            ),
        ));
    }
    match published.difference(&mapped).next() {
        None => Ok(()),
        Some((schema, table)) => Err(Fault::environment(
            "table_not_mapped",
            format!("publication {publication} holds table {schema}.{table}, and no outbox is mapped to it"),
            format!(
                "add an [outbox.<name>] with schema = \"{schema}\" and table = \"{table}\", or take it out: \
                     ALTER PUBLICATION \"{publication}\" DROP TABLE \"{schema}\".\"{table}\""
            ),
        )),
    }
}

async fn check_slot(client: &Client, slot: &str, database: &str) -> Result<Result<(), Fault>, PostgresError> {
    let row = client
        .query_opt(
            "SELECT coalesce(plugin::text, ''), coalesce(database::text, ''), coalesce(wal_status, ''), active_pid
             FROM pg_replication_slots WHERE slot_name = $1",
            &[&slot],
        )
        .await?;
    let Some(row) = row else {
        return Ok(Err(Fault::environment(
            "slot_missing",
            format!("replication slot {slot} does not exist"),
            "run `outbox-relay slot create`; if the slot existed before, the events since its last position are not \
             in a new one: look for them in the outbox table first",
        )));
    };
    let (plugin, of_database, wal_status): (String, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if plugin != "pgoutput" || of_database != database {
        return Ok(Err(Fault::environment(
            "slot_unusable",
            format!(
                "replication slot {slot} is of database {of_database:?} with plugin {plugin:?}; needed is one of \
                     {database:?} with \"pgoutput\""
            ),
            "correct postgres.slot or postgres.database",
        )));
    }
    if wal_status == "lost" {
        return Ok(Err(Fault::environment(
            "slot_lost",
            format!("replication slot {slot} is lost: PostgreSQL removed WAL that it needed (max_slot_wal_keep_size)"),
            "events since its last position are only in the outbox table now; publish them from there, then run \
             `outbox-relay slot drop` and `outbox-relay slot create`",
        )));
    }
    Ok(match row.try_get::<_, Option<i32>>(3)? {
        None => Ok(()),
        Some(pid) => Err(Fault::transient(
            "slot_active",
            format!("replication slot {slot} is in use by the server process {pid}"),
            "nothing: this relay takes over when the other one is gone",
        )),
    })
}

/// Compares the server with what the advisory row remembers: a server that was restored or that lags behind the one
/// before it must not be streamed from as if it were the same.
///
/// # Errors
/// A fault when the server cannot be trusted to have everything that was confirmed.
pub(super) async fn check_identity(
    replication: &mut ReplicationConnection,
    identity: &Identity,
    known: &Remembered,
    settings: &Settings,
) -> Result<(), Fault> {
    let remedy = "find out which server this is. If it is meant: look for events between the two positions, then run \
                  `outbox-relay slot forget` so that the relay accepts it";
    if identity.system_identifier != known.system_identifier {
        let (now, before) = (identity.system_identifier, known.system_identifier);
        let message = format!("this is another PostgreSQL cluster: system identifier {now}, before it was {before}");
        return Err(Fault::environment("server_replaced", message, remedy));
    }
    let went_back = |what: String| Fault::environment("server_went_back", what, remedy);
    let confirmed = known.confirmed;
    if identity.timeline < known.timeline {
        let (now, before) = (identity.timeline, known.timeline);
        return Err(went_back(format!(
            "the server is on timeline {now}, before it was on {before}"
        )));
    }
    if identity.timeline > known.timeline {
        let point = replication.switch_point(identity.timeline, known.timeline).await;
        let point = point.map_err(|error| policy::fault(&error, &settings.postgres))?;
        if point < confirmed {
            return Err(went_back(format!(
                "the server was promoted at {point}, and events up to {confirmed} were confirmed before: it lacks some"
            )));
        }
        tracing::info!(timeline = identity.timeline, %point, "the server was promoted; it has all that was confirmed");
    }
    if identity.flushed < confirmed {
        let now = identity.flushed;
        return Err(went_back(format!(
            "the server's WAL ends at {now}, and {confirmed} was confirmed before"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use outbox_decoder::Columns;

    fn compare(published: &[&str], mapped: &[&str]) -> Result<(), &'static str> {
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
        assert_eq!(compare(&["a"], &["a", "b"]), Err("publication_without_table"));
        assert_eq!(compare(&["a", "b"], &["a"]), Err("table_not_mapped"));
    }
}

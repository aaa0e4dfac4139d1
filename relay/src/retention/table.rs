//! An outbox table, as the janitor's statements name it.

use tokio_postgres::Client;

use super::RetentionError;
use super::mark::lsn;
use crate::config::{OutboxSettings, PostgresSettings};
use outbox_decoder::Lsn;
use postgres_protocol::escape::escape_identifier;

/// One table of the configuration, for one slot.
#[derive(Debug)]
pub(super) struct Table<'s> {
    pub(super) slot: &'s str,
    pub(super) publication: &'s str,
    /// Name of the outbox.
    pub(super) outbox: &'s str,
    pub(super) settings: &'s OutboxSettings,
}

impl<'s> Table<'s> {
    pub(super) const fn new(postgres: &'s PostgresSettings, outbox: &'s str, settings: &'s OutboxSettings) -> Self {
        Self {
            slot: postgres.slot.as_str(),
            publication: postgres.publication.as_str(),
            outbox,
            settings,
        }
    }

    /// With its schema, for people.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.settings.schema, self.settings.table)
    }

    /// For SQL.
    pub(super) fn quoted(&self) -> String {
        let OutboxSettings { schema, table, .. } = self.settings;
        format!("{}.{}", escape_identifier(schema), escape_identifier(table))
    }

    /// Whether every row of it was written where the slot brings it to the relay.
    pub(super) async fn is_whole(&self, client: &Client) -> Result<bool, RetentionError> {
        let OutboxSettings { schema, table, .. } = self.settings;
        let know = "SELECT outbox_relay.retention_know($1, $2, $3, $4)";
        let row = client
            .query_one(know, &[&self.slot, &self.publication, schema, table])
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The mark up to which it was swept.
    pub(super) async fn swept(&self, client: &Client) -> Result<Option<Lsn>, RetentionError> {
        let OutboxSettings { schema, table, .. } = self.settings;
        let swept = "SELECT swept_lsn::text FROM outbox_relay.retained_tables
             WHERE slot_name = $1 AND schema_name = $2 AND table_name = $3";
        let row = client.query_opt(swept, &[&self.slot, schema, table]).await?;
        let swept: Option<String> = row.map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(swept.map(|swept| lsn(&swept)).transpose()?)
    }

    /// Where its rows are stored. It changes when they are moved.
    pub(super) async fn storage(&self, client: &Client) -> Result<String, RetentionError> {
        let OutboxSettings { schema, table, .. } = self.settings;
        let row = client
            .query_one("SELECT outbox_relay.retention_storage($1, $2)", &[schema, table])
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Which rows of it are this relay's, as a condition.
    pub(super) async fn filter(&self, client: &Client) -> Result<String, RetentionError> {
        let OutboxSettings { schema, table, .. } = self.settings;
        let filter = "SELECT coalesce(outbox_relay.retention_filter($1, $2, $3), 'false')";
        let row = client.query_one(filter, &[&self.publication, schema, table]).await?;
        Ok(row.try_get(0)?)
    }

    /// How many blocks the table has, or the largest of its partitions.
    pub(super) async fn blocks(&self, client: &Client) -> Result<i64, RetentionError> {
        let OutboxSettings { schema, table, .. } = self.settings;
        let blocks = "SELECT coalesce(max(pg_relation_size(leaf)), 0) / current_setting('block_size')::bigint
             FROM outbox_relay.retention_leaves($1, $2) AS leaf";
        Ok(client.query_one(blocks, &[schema, table]).await?.try_get(0)?)
    }
}

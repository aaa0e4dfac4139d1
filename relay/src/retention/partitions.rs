//! Partitions whose time is over are dropped whole: no row is touched, and there is nothing to vacuum.

use tokio_postgres::types::ToSql;

use super::RetentionError;
use super::pace::Pace;
use super::report::TableReport;
use super::walk::Walk;

/// A partition that has ended.
struct Ended {
    oid: u32,
    name: String,
    blocks: i64,
    /// What its rows meet, so that reading them reads no other partition.
    bounds: String,
}

impl Walk<'_> {
    /// Drops what can be dropped. What cannot, because one of its rows has to stay or somebody uses it, is left to the walk
    /// over the rows.
    pub(super) async fn drop_partitions(
        &self,
        pace: &mut Pace<'_>,
        report: &mut TableReport,
    ) -> Result<(), RetentionError> {
        for ended in self.ended().await? {
            pace.give_way(self.session.client()).await?;
            let storage = self.table.storage(self.session.client()).await?;
            if self.drop(&ended, &storage, true).await?.is_none() {
                continue;
            }
            self.archive(&ended, report).await?;
            if let Some(rows) = self.drop(&ended, &storage, false).await? {
                report.rows += rows;
                report.partitions += 1;
                self.metrics.retention_rows_removed.inc_by(rows);
                tracing::info!(
                    partition = ended.name,
                    rows,
                    "dropped a partition whose rows are all published"
                );
                pace.breathe(self.session.client(), rows.max(1)).await?;
            }
        }
        Ok(())
    }

    async fn archive(&self, ended: &Ended, report: &mut TableReport) -> Result<(), RetentionError> {
        let Some(archiver) = self.archiver else {
            return Ok(());
        };
        let condition = format!("tableoid = {} AND ({})", ended.oid, ended.bounds);
        let (mut from, mut blocks) = (0, 1);
        while from < ended.blocks {
            let (file, to) = self
                .fill(archiver, (from, ended.blocks), &condition, &mut blocks)
                .await?;
            archiver.keep(&file, report)?;
            from = to;
        }
        Ok(())
    }

    async fn ended(&self) -> Result<Vec<Ended>, RetentionError> {
        let ended = "SELECT p.leaf, p.name, p.blocks, p.bounds FROM outbox_relay.retention_marks m,
                 LATERAL outbox_relay.retention_partitions($3, $4, m.taken_at) p
             WHERE m.slot_name = $1 AND m.lsn = $2::text::pg_lsn";
        let (table, mark) = (self.table, self.mark.lsn.to_string());
        let parameters: [&(dyn ToSql + Sync); 4] = [&table.slot, &mark, &table.settings.schema, &table.settings.table];
        let rows = self.session.client().query(ended, &parameters).await?;
        let partitions = rows.iter().map(|row| {
            Ok(Ended {
                oid: row.try_get(0)?,
                name: row.try_get(1)?,
                blocks: row.try_get(2)?,
                bounds: row.try_get(3)?,
            })
        });
        partitions.collect()
    }

    /// How many rows went with it, or would go; `None` when it cannot be dropped now.
    async fn drop(&self, ended: &Ended, storage: &str, only_look: bool) -> Result<Option<u64>, RetentionError> {
        let drop = "SELECT outbox_relay.retention_drop($1, $2, $3, $4, $5, $6, $7::text::pg_lsn, $8, $9, $10)";
        let (table, mark) = (self.table, self.mark.lsn.to_string());
        let settings = table.settings;
        let parameters: [&(dyn ToSql + Sync); 10] = [
            &table.slot,
            &table.publication,
            &table.outbox,
            &settings.schema,
            &settings.table,
            &settings.columns.id,
            &mark,
            &ended.oid,
            &storage,
            &only_look,
        ];
        let dropped = self.session.client().query_one(drop, &parameters).await?;
        let rows: Option<i64> = dropped.try_get(0)?;
        Ok(rows.map(|rows| u64::try_from(rows).unwrap_or(0)))
    }
}

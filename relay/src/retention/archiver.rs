//! Reads rows that are about to be removed, by the stream's own mapping, and puts them into the archive.

use postgres_protocol::escape::escape_identifier;
use serde_json::value::RawValue;
use tokio_postgres::Client;

use super::RetentionError;
use super::mark::Mark;
use super::report::TableReport;
use super::table::Table;
use crate::archive::{ArchiveFile, Line, Origin, Unmappable, keep};
use crate::config::ArchiveTarget;
use crate::postgres::PostgresError;
use crate::replay::{Rows, Selection};

/// What a row's record is marked with; an archive leaves it out again.
const READ_BY: &str = "retention";

/// The archive of one table, for one mark.
pub(super) struct Archiver<'s> {
    client: &'s Client,
    table: &'s Table<'s>,
    mark: &'s Mark,
    target: &'s ArchiveTarget,
    rows: Rows,
    filter: String,
}

impl<'s> Archiver<'s> {
    pub(super) async fn new(
        client: &'s Client,
        table: &'s Table<'s>,
        mark: &'s Mark,
        target: &'s ArchiveTarget,
    ) -> Result<Self, RetentionError> {
        Ok(Self {
            rows: Rows::of(client, table.settings, READ_BY).await?,
            filter: table.filter(client).await?,
            client,
            table,
            mark,
            target,
        })
    }

    /// An empty file.
    pub(super) async fn file(&self) -> Result<ArchiveFile, RetentionError> {
        let now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISS.US\"Z\"')";
        let made_at: String = self.client.query_one(now, &[]).await?.try_get(0)?;
        let origin = Origin {
            slot: self.table.slot.to_owned(),
            outbox: self.table.outbox.to_owned(),
            table: self.table.name(),
            committed_before: self.mark.lsn.to_string(),
        };
        Ok(ArchiveFile::new(origin, &made_at))
    }

    /// Adds the rows of the mark in these blocks that meet a condition. Those whose letters are unresolved too, although they
    /// stay: by the time of the removal their letters may be resolved.
    pub(super) async fn add(
        &self,
        file: &mut ArchiveFile,
        (from, to): (i64, i64),
        condition: &str,
    ) -> Result<(), RetentionError> {
        let next: i64 = self
            .client
            .query_one("SELECT outbox_relay.next_transaction()", &[])
            .await?
            .try_get(0)?;
        let (horizon, filter) = (self.mark.horizon, &self.filter);
        let selection = Selection {
            at: "NULL".to_owned(),
            condition: format!(
                "ctid >= '({from},0)' AND ctid < '({to},0)' AND outbox_relay.is_before(xmin, {horizon}, {next}) AND ({filter}) \
                 AND ({condition})"
            ),
            order: "tableoid, ctid".to_owned(),
        };
        let (outbox, table) = (self.table.outbox, self.table.name());
        let mut unmappable = Vec::new();
        let mut stream = self.rows.read(self.client, &selection).await?;
        while let Some(row) = stream.next().await? {
            match Line::of(outbox, &table, row) {
                Ok(line) => file.push(&line),
                Err(which) => unmappable.push(which),
            }
        }
        drop(stream);
        for which in unmappable {
            let row = self.whole_row(&which).await?;
            if let Some(row) = row {
                file.push(&Line::of_unmappable(outbox, &table, which, row));
            }
        }
        Ok(())
    }

    /// `None` of a row that the application has deleted meanwhile.
    async fn whole_row(&self, which: &Unmappable) -> Result<Option<Box<RawValue>>, RetentionError> {
        let id = escape_identifier(self.table.settings.columns.id.as_deref().unwrap_or_default());
        let whole = format!(
            "SELECT row_to_json(o)::text FROM {} AS o WHERE o.{id}::text = $1",
            self.table.quoted()
        );
        let Some(row) = self.client.query_opt(&whole, &[&which.id]).await? else {
            return Ok(None);
        };
        let json = RawValue::from_string(row.try_get(0)?);
        let json = json.map_err(|error| PostgresError::Unexpected {
            got: error.to_string(),
            wanted: "a row as JSON",
        })?;
        Ok(Some(json))
    }

    /// Puts a file where it is safe. One without rows is none.
    pub(super) fn keep(&self, file: &ArchiveFile, report: &mut TableReport) -> Result<(), RetentionError> {
        if file.rows() == 0 {
            return Ok(());
        }
        keep(self.target, file)?;
        report.archived_rows += file.rows();
        report.archive_files += 1;
        tracing::debug!(file = file.name(), rows = file.rows(), "archived");
        Ok(())
    }
}

//! The walk over a table: block by block from its beginning, each block once. It needs no index, and passes by what vacuum
//! has not yet cleaned away.

use tokio_postgres::types::ToSql;

use super::RetentionError;
use super::archiver::Archiver;
use super::mark::Mark;
use super::pace::Pace;
use super::report::TableReport;
use super::session::JanitorSession;
use super::table::Table;
use crate::archive::ArchiveFile;
use crate::config::RetentionSettings;
use crate::telemetry::Metrics;

/// Looked through at once where nothing is archived: 2 MiB.
const BLOCKS: i64 = 256;
/// What is read for an archive at once: at first little, because nobody knows how large the rows are.
const ARCHIVE_BLOCKS: std::ops::RangeInclusive<i64> = 1..=1_024;
/// A step of the reading is to bring about so much of a file.
const STEPS_PER_FILE: usize = 8;

/// One walk.
pub(super) struct Walk<'s> {
    pub(super) session: &'s JanitorSession,
    pub(super) settings: &'s RetentionSettings,
    pub(super) metrics: &'s Metrics,
    pub(super) table: &'s Table<'s>,
    pub(super) mark: &'s Mark,
    pub(super) archiver: Option<&'s Archiver<'s>>,
}

impl Walk<'_> {
    /// From the first block to the last one that there is now.
    pub(super) async fn run(&self, pace: &mut Pace<'_>, report: &mut TableReport) -> Result<(), RetentionError> {
        let client = self.session.client();
        let end = self.table.blocks(client).await?;
        let storage = self.table.storage(client).await?;
        let (mut from, mut blocks) = (0, *ARCHIVE_BLOCKS.start());
        while from < end {
            let to = match self.archiver {
                None => from + BLOCKS,
                Some(archiver) => {
                    let (file, to) = self.fill(archiver, (from, end), "true", &mut blocks).await?;
                    archiver.keep(&file, report)?;
                    to
                }
            };
            self.remove((from, to), &storage, pace, report).await?;
            from = to;
        }
        Ok(())
    }

    /// A file of rows from these blocks on, and where they end.
    pub(super) async fn fill(
        &self,
        archiver: &Archiver<'_>,
        (from, end): (i64, i64),
        condition: &str,
        blocks: &mut i64,
    ) -> Result<(ArchiveFile, i64), RetentionError> {
        let mut file = archiver.file().await?;
        let mut at = from;
        while at < end && file.bytes().len() < self.settings.archive_bytes {
            let before = file.bytes().len();
            let to = at + *blocks;
            archiver.add(&mut file, (at, to), condition).await?;
            *blocks = next_blocks(*blocks, file.bytes().len() - before, self.settings.archive_bytes);
            at = to;
        }
        Ok((file, at))
    }

    /// Removes the rows of the mark in these blocks, batch by batch. What is before a mark can only become less, so nothing
    /// goes here that was not archived before.
    async fn remove(
        &self,
        (from, to): (i64, i64),
        storage: &str,
        pace: &mut Pace<'_>,
        report: &mut TableReport,
    ) -> Result<(), RetentionError> {
        let remove = "SELECT outbox_relay.retention_remove($1, $2, $3, $4, $5, $6, $7::text::pg_lsn, $8, $9, $10, $11)";
        let Table {
            slot,
            publication,
            outbox,
            settings,
        } = self.table;
        let (mark, most) = (self.mark.lsn.to_string(), i64::from(self.settings.batch_rows));
        let parameters: [&(dyn ToSql + Sync); 11] = [
            slot,
            publication,
            outbox,
            &settings.schema,
            &settings.table,
            &settings.columns.id,
            &mark,
            &from,
            &to,
            &storage,
            &most,
        ];
        loop {
            let row = self.session.client().query_one(remove, &parameters).await?;
            let removed: i64 = row.try_get(0)?;
            let rows = u64::try_from(removed).unwrap_or(0);
            report.rows += rows;
            self.metrics.retention_rows_removed.inc_by(rows);
            pace.breathe(self.session.client(), rows).await?;
            if removed < most {
                return Ok(());
            }
        }
    }
}

/// Toward steps that bring an eighth of a file each.
fn next_blocks(blocks: i64, bytes: usize, archive_bytes: usize) -> i64 {
    let wanted = archive_bytes / STEPS_PER_FILE;
    let next = if bytes > wanted {
        blocks / 2
    } else if bytes < wanted / 2 {
        blocks * 2
    } else {
        blocks
    };
    next.clamp(*ARCHIVE_BLOCKS.start(), *ARCHIVE_BLOCKS.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_in_steps_that_fit_the_rows() {
        let file = 16 * 1024 * 1024;
        let mut blocks = 1;
        for _ in 0..20 {
            blocks = next_blocks(blocks, 0, file);
        }
        assert_eq!(blocks, 1_024, "nothing is found: larger steps");
        assert_eq!(next_blocks(1_024, 1_024 * 8 * 1024, file), 512);
        assert_eq!(next_blocks(256, 256 * 8 * 1024, file), 256);
        assert_eq!(next_blocks(1, file, file), 1, "no step is smaller than a block");
    }
}

//! One round: everything that can go now, of every table.

use std::time::Duration;

use tokio::time::sleep;

use super::archiver::Archiver;
use super::mark::Mark;
use super::pace::{Pace, Patience};
use super::report::{Report, TableReport};
use super::session::JanitorSession;
use super::table::Table;
use super::walk::Walk;
use super::{RetentionError, expiry};
use crate::config::Settings;
use crate::telemetry::{Metrics, RetentionState};

/// A relay that streams confirms a mark within its status interval and a keepalive.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a round works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round<'s> {
    /// Everything the relay was told.
    pub(crate) settings: &'s Settings,
    /// Its connection.
    pub(crate) session: &'s JanitorSession,
    /// Where its figures go.
    pub(crate) metrics: &'s Metrics,
    /// What to do while the relay lags.
    pub(crate) patience: Patience,
    /// Why, for the audit trail.
    pub(crate) why: &'s str,
}

impl Round<'_> {
    /// Takes a mark, and waits a moment for the relay to confirm it where rows need not be any older.
    ///
    /// # Errors
    /// See [`RetentionError`].
    pub(crate) async fn mark(&self) -> Result<(), RetentionError> {
        let (slot, keep_days) = (&self.settings.postgres.slot, self.settings.retention.keep_days);
        Mark::take(self.session, slot, keep_days).await?;
        if keep_days > 0 {
            return Ok(());
        }
        let looks = CONFIRMED_WITHIN.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            let Some((newest, true)) = Mark::newest(self.session, slot).await? else {
                return Ok(());
            };
            let usable = Mark::usable(self.session, slot, keep_days).await?;
            if usable.is_some_and(|usable| usable.lsn == newest) {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Removes what can go. What is done by the time of an error is done, and the audit trail has it.
    ///
    /// # Errors
    /// See [`RetentionError`].
    pub(crate) async fn run(&self) -> Result<Report, RetentionError> {
        let mut report = Report::default();
        let mut pace = Pace::new(self.settings, self.metrics, self.patience);
        let slot = &self.settings.postgres.slot;
        let mark = Mark::usable(self.session, slot, self.settings.retention.keep_days).await?;
        report.marked_at = mark.as_ref().map(|mark| mark.taken_at.clone());
        let mut is_proven = true;
        for (name, outbox) in &self.settings.outbox {
            let table = Table::new(&self.settings.postgres, name, outbox);
            let table = self.table(&table, mark.as_ref(), &mut pace).await?;
            is_proven &= !table.is_unproven;
            report.tables.push(table);
        }
        if let Some(mark) = &mark {
            report.letters = expiry::letters(self.session, self.settings, mark, &mut pace).await?;
        }
        report.audit_rows = expiry::audit(self.session, self.settings).await?;
        self.metrics.retention_letters_removed.inc_by(report.letters);
        self.metrics.show_retention(if is_proven {
            RetentionState::Waiting
        } else {
            RetentionState::Unproven
        });
        Ok(report)
    }

    /// A table without a mark is looked at all the same: what it holds is noted while it may still be empty.
    async fn table(
        &self,
        table: &Table<'_>,
        mark: Option<&Mark>,
        pace: &mut Pace<'_>,
    ) -> Result<TableReport, RetentionError> {
        let client = self.session.client();
        let mut report = TableReport {
            table: table.name(),
            is_unproven: !table.is_whole(client).await?,
            ..TableReport::default()
        };
        let Some(mark) = mark.filter(|_| !report.is_unproven) else {
            return Ok(report);
        };
        if table.swept(client).await?.is_some_and(|swept| swept >= mark.lsn) {
            return Ok(report);
        }
        let swept = self.sweep(table, mark, pace, &mut report).await;
        self.metrics.retention_rows_archived.inc_by(report.archived_rows);
        self.tell(table, mark, swept.is_ok(), &report).await?;
        if swept.is_ok() {
            expiry::delivery_state(self.session, table, mark, pace).await?;
        }
        match swept {
            Err(error) if error.passes() => {
                tracing::debug!(table = report.table, "left to the next round: {error}");
                Ok(report)
            }
            swept => swept.map(|()| report),
        }
    }

    async fn sweep(
        &self,
        table: &Table<'_>,
        mark: &Mark,
        pace: &mut Pace<'_>,
        report: &mut TableReport,
    ) -> Result<(), RetentionError> {
        let client = self.session.client();
        pace.give_way(client).await?;
        let archiver = match &self.settings.retention.archive {
            Some(target) => Some(Archiver::new(client, table, mark, target).await?),
            None => None,
        };
        let walk = Walk {
            session: self.session,
            settings: &self.settings.retention,
            metrics: self.metrics,
            table,
            mark,
            archiver: archiver.as_ref(),
        };
        walk.drop_partitions(pace, report).await?;
        walk.run(pace, report).await
    }

    /// Also of what an earlier round removed and could not tell any more.
    async fn tell(
        &self,
        table: &Table<'_>,
        mark: &Mark,
        is_end: bool,
        report: &TableReport,
    ) -> Result<(), RetentionError> {
        let tell = "SELECT removed, audit_seq, audit_head
             FROM outbox_relay.retention_tell($1, $2, $3, $4::text::pg_lsn, $5, $6, $7, $8::text::jsonb)";
        let (slot, settings) = (&self.settings.postgres.slot, table.settings);
        let (mark, how) = (mark.lsn.to_string(), report.how());
        let row = self
            .session
            .client()
            .query_one(
                tell,
                &[
                    slot,
                    &settings.schema,
                    &settings.table,
                    &mark,
                    &is_end,
                    &self.why,
                    &how,
                    &self.session.actor(),
                ],
            )
            .await?;
        if let (removed, Some(audit_seq), Some(audit_head)) = (
            row.try_get::<_, i64>(0)?,
            row.try_get::<_, Option<i64>>(1)?,
            row.try_get::<_, Option<&str>>(2)?,
        ) {
            tracing::info!(
                table = report.table,
                rows = removed,
                audit_seq,
                audit_head,
                "removed published rows; {how}"
            );
        }
        Ok(())
    }
}

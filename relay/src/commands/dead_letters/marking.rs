//! Marks letters as to be published, a batch a transaction.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::super::interrupt::Interrupt;
use super::decision::BATCH;
use super::progress::Progress;
use super::{Failure, Operation};

/// Marks letters for a reason.
pub(super) struct Marking<'o, 's> {
    pub(super) operation: &'o Operation<'s>,
    pub(super) why: &'o str,
    pub(super) actor: String,
    pub(super) per_second: Option<u32>,
}

/// What was marked.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Of the chosen letters.
    pub(super) chosen: usize,
    /// Behind them.
    pub(super) released: i64,
    /// All of them, as they come to be published.
    pub(super) pending: Vec<i64>,
    /// The audit trail's, after the last batch.
    pub(super) head: Option<(i64, String)>,
}

impl Marking<'_, '_> {
    /// Marks them in their order, until done or interrupted.
    pub(super) async fn mark(&self, letters: &[i64], interrupt: &mut Interrupt) -> Result<Marked, Failure> {
        let mut marked = Marked::default();
        let mut progress = Progress::of(letters.len(), "marked");
        let begin = Instant::now();
        for batch in letters.chunks(self.batch_size()) {
            tokio::select! {
                biased;
                () = interrupt.came() => break,
                () = sleep_until(begin + self.due(marked.chosen)) => {}
            }
            let done = self.mark_batch(batch, &mut marked).await;
            done.inspect_err(|_| progress.leave(i64::try_from(marked.chosen).unwrap_or(i64::MAX)))?;
            progress.show(marked.chosen);
        }
        progress.end();
        Ok(marked)
    }

    fn batch_size(&self) -> usize {
        let most = self.per_second.and_then(|per_second| usize::try_from(per_second).ok());
        most.map_or(BATCH, |most| most.min(BATCH))
    }

    /// When the next batch is due, after so many letters.
    fn due(&self, chosen: usize) -> Duration {
        let chosen = u32::try_from(chosen).unwrap_or(u32::MAX);
        let seconds = |per_second| Duration::from_secs(chosen.into()) / per_second;
        self.per_second.map_or(Duration::ZERO, seconds)
    }

    async fn mark_batch(&self, batch: &[i64], marked: &mut Marked) -> Result<(), Failure> {
        let client = self.operation.client();
        let failed = |error| self.operation.refused(error);
        client.batch_execute("BEGIN").await.map_err(failed)?;
        match self.mark_in_transaction(batch, marked).await {
            Ok(()) => client.batch_execute("COMMIT").await.map_err(failed)?,
            Err(failure) => {
                // The end of the connection, which comes next, does the same.
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(failure);
            }
        }
        marked.chosen += batch.len();
        Ok(())
    }

    async fn mark_in_transaction(&self, batch: &[i64], marked: &mut Marked) -> Result<(), Failure> {
        let slot = self.operation.slot();
        let mark = "SELECT redriving, audit_seq, audit_head
             FROM outbox_relay.letters_redrive($1, $2, $3, $4::text::jsonb)";
        let row = self
            .operation
            .row(mark, &[slot, &batch, &self.why, &self.actor])
            .await?;
        let redriving: i64 = self.operation.read(|| {
            marked.head = Some((row.try_get(1)?, row.try_get(2)?));
            row.try_get(0)
        })?;
        let released = redriving - i64::try_from(batch.len()).unwrap_or(redriving);
        if released == 0 {
            marked.pending.extend(batch);
            return Ok(());
        }
        marked.released += released;
        marked.pending.extend(self.of_their_keys(batch).await?);
        Ok(())
    }

    /// What was marked with these, in order. Under the same lock: nobody else has marked any of it in between.
    async fn of_their_keys(&self, batch: &[i64]) -> Result<Vec<i64>, Failure> {
        let statement = "WITH chosen AS (
                 SELECT c.letter_id, c.topic, c.key FROM outbox_relay.dead_letters c WHERE c.letter_id = ANY ($2)
             ), released AS (
                 SELECT letter_id FROM chosen UNION
                 SELECT d.letter_id FROM (SELECT DISTINCT topic, key FROM chosen) c JOIN outbox_relay.dead_letters d
                     ON d.slot_name = $1 AND d.topic = c.topic AND d.key = c.key AND d.state = 'redriving'
             )
             SELECT d.letter_id FROM released JOIN outbox_relay.dead_letters d USING (letter_id)
             WHERE d.slot_name = $1 AND d.state = 'redriving' ORDER BY d.commit_lsn, d.ordinal";
        let rows = self.operation.rows(statement, &[self.operation.slot(), &batch]).await?;
        self.operation.read(|| rows.iter().map(|row| row.try_get(0)).collect())
    }
}

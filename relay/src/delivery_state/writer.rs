//! Writes notes, many in one statement, for as long as the relay runs. What cannot be written is tried again for ever: the
//! line waits behind it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

use super::queue::{Entry, Queue};
use super::statement::{Columns, UPSERT};
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::postgres::{Control, PostgresError};
use crate::telemetry::Metrics;

/// Notes of one statement.
const BATCH: usize = 1_000;
/// What comes within this time goes into one statement.
const GATHER: Duration = Duration::from_millis(20);

pub(super) struct Writer {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    queue: Arc<Queue>,
    /// By the decoder's number.
    outboxes: Vec<String>,
    control: Option<Control>,
    is_in_trouble: bool,
}

impl Writer {
    pub(super) fn start(settings: Arc<Settings>, metrics: Arc<Metrics>, queue: Arc<Queue>) -> std::io::Result<()> {
        let outboxes = settings.outbox.keys().cloned().collect();
        let writer = Self {
            settings,
            metrics,
            queue,
            outboxes,
            control: None,
            is_in_trouble: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(writer.run());
        thread::Builder::new()
            .name("delivery-state".to_owned())
            .spawn(work)
            .map(drop)
    }

    async fn run(mut self) {
        let postgres = &self.settings.postgres;
        let mut backoff = Backoff::jittered(postgres.reconnect_backoff_ms, postgres.reconnect_backoff_max_ms);
        loop {
            self.queue.filled().await;
            sleep(GATHER).await;
            let entries = self.queue.take();
            for batch in entries.chunks(BATCH) {
                while let Err(error) = self.write(batch).await {
                    self.tell(Some(&error));
                    self.control = None;
                    sleep(backoff.next_wait()).await;
                }
                backoff.reset();
                self.tell(None);
            }
            self.queue.written();
            self.metrics
                .delivery_states_waiting
                .set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        }
    }

    async fn write(&mut self, batch: &[Entry]) -> Result<(), PostgresError> {
        let control = match self.control.take() {
            Some(control) => control,
            None => Control::connect(&self.settings.postgres, "delivery state").await?,
        };
        let columns = Columns::of(batch, &self.outboxes);
        let statement = control.client().prepare(UPSERT).await?;
        let written = control
            .client()
            .execute(
                &statement,
                &[
                    &self.settings.postgres.slot,
                    &columns.outboxes,
                    &columns.ids,
                    &columns.statuses,
                    &columns.at_us,
                    &columns.retry_counts,
                    &columns.error_codes,
                ],
            )
            .await?;
        self.metrics.delivery_states_written.inc_by(written);
        self.control = Some(control);
        Ok(())
    }

    /// Once when it begins, and once when it is over.
    fn tell(&mut self, error: Option<&PostgresError>) {
        match (error, self.is_in_trouble) {
            (Some(error), false) => tracing::warn!(
                next = "the line waits for it; run `outbox-relay migrate` if a table or a right is missing",
                "delivery states cannot be written: {error}"
            ),
            (None, true) => tracing::info!("delivery states are written again"),
            _ => {}
        }
        self.is_in_trouble = error.is_some();
    }
}

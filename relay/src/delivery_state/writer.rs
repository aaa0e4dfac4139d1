//! Writes notes, many in one statement, for as long as the relay runs. What cannot be written is tried again for ever: what is
//! acknowledged waits for it, and with it what is confirmed.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::queue::{Entry, Queue};
use super::statement::{Columns, UPSERT};
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::dead_letter::Place;
use crate::fault::Fault;
use crate::postgres::{Control, PostgresError, fault};
use crate::telemetry::{Condition, Health, Metrics, Part};

/// Notes of one statement.
const BATCH: usize = 1_000;
/// What comes within this time goes into one statement.
const GATHER: Duration = Duration::from_millis(20);
/// An answer that takes longer does not come.
const ANSWER_TIMEOUT_MS: u64 = 30_000;

pub(super) struct Writer {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    health: Health,
    queue: Arc<Queue>,
    /// By the decoder's number.
    outboxes: Vec<String>,
    /// Where the stream comes from, once there is one.
    places: watch::Receiver<Option<Place>>,
    control: Option<Control>,
}

impl Writer {
    pub(super) fn start(
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        health: &Health,
        queue: &Arc<Queue>,
        places: watch::Receiver<Option<Place>>,
    ) -> std::io::Result<()> {
        let writer = Self {
            settings: Arc::clone(settings),
            metrics: Arc::clone(metrics),
            health: health.clone(),
            queue: Arc::clone(queue),
            outboxes: settings.outbox.keys().cloned().collect(),
            places,
            control: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(writer.run());
        let thread = thread::Builder::new().name("delivery-state".to_owned());
        thread.spawn(work).map(drop)
    }

    async fn run(mut self) {
        let postgres = &self.settings.postgres;
        let mut backoff = Backoff::jittered(postgres.reconnect_backoff_ms, postgres.reconnect_backoff_max_ms);
        loop {
            self.queue.filled().await;
            if self.queue.len() < BATCH {
                sleep(GATHER).await;
            }
            let entries = self.queue.take(BATCH);
            while let Err(error) = self.write_in_time(&entries).await {
                self.control = None;
                self.show(Some(fault(&error, &self.settings.postgres)));
                sleep(backoff.next_wait()).await;
            }
            backoff.reset();
            self.show(None);
            self.queue.written(&entries);
        }
    }

    async fn write_in_time(&mut self, entries: &[Entry]) -> Result<(), PostgresError> {
        let written = timeout(Duration::from_millis(ANSWER_TIMEOUT_MS), self.write(entries)).await;
        written.unwrap_or(Err(PostgresError::TimedOut {
            what: "writing delivery states",
            timeout_ms: ANSWER_TIMEOUT_MS,
        }))
    }

    async fn write(&mut self, entries: &[Entry]) -> Result<(), PostgresError> {
        let control = match self.control.take() {
            Some(control) if !self.places.has_changed().unwrap_or(false) => control,
            _ => self.connect().await?,
        };
        let columns = Columns::of(entries, &self.outboxes);
        let written = control
            .client()
            .execute(
                UPSERT,
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

    /// To the server that the stream comes from, and to no other: what is confirmed there is told there. The bounds are below
    /// the client's own, so that a server which waits for a lock does not keep a session for each attempt.
    async fn connect(&mut self) -> Result<Control, PostgresError> {
        let place = self.places.wait_for(Option::is_some).await;
        let (host, address) = place
            .ok()
            .and_then(|place| place.clone())
            .ok_or(PostgresError::Closed)?;
        let control = Control::connect_exactly(&self.settings.postgres, &host, address, "delivery state").await?;
        control
            .client()
            .batch_execute("SET synchronous_commit = on; SET lock_timeout = '20s'; SET statement_timeout = '25s'")
            .await?;
        Ok(control)
    }

    fn show(&self, fault: Option<Fault>) {
        let condition = fault.map_or(Condition::Up, |fault| {
            let message = format!("delivery states cannot be written: {}", fault.message);
            Condition::Down(Fault { message, ..fault })
        });
        self.health.set(Part::DeliveryState, condition);
    }
}

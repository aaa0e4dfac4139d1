//! The line: from the slot to the brokers, kept up over lost connections, stopped at a commit boundary.
//!
//! This is the edge around the pure pipeline: it owns the clock, the connections and the producer, and moves values
//! from one to the next. What is decided is decided in [`crate::pipeline`].

mod confirm;
mod figures;
mod goodbye;
mod interrupt;
mod letters;
mod lookout;
mod looks;
mod pause;
mod settle;
mod sinks;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::{OutboxTable, Position};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use self::settle::Settle;
use crate::backoff::Backoff;
use crate::config::Settings;
use crate::dead_letter::{Clerk, Desk};
use crate::fault::{Fault, FaultKind};
use crate::kafka::Delivery;
use crate::notice::Notices;
use crate::pipeline::{Limits, Parking, Pipeline};
use crate::postgres::{AdvisoryRow, Identity, Remembered, Session, open_session};
use crate::telemetry::{Condition, Health, Heartbeat, Metrics, Part};

#[cfg(test)]
pub(crate) use self::confirm::Confirmation;
#[cfg(test)]
pub(crate) use self::sinks::Sinks;

/// How often the line looks after what no event wakes it for.
const TICK: Duration = Duration::from_millis(100);
/// A standby asks for the slot this often.
const STANDBY_WAIT: Duration = Duration::from_secs(1);

/// How a line ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was ever taken from the slot.
    Untouched,
    /// Everything taken is acknowledged and confirmed: nothing repeats after a restart.
    Drained,
    /// It was stopped before that; what was in flight repeats. Nothing is lost.
    Undrained {
        /// Records without an acknowledgement.
        in_flight: usize,
    },
}

/// What a line is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To publish, until it is told to stop.
    Relay,
    /// To publish the dead letters that are marked, and whatever has to go before them.
    Redrive,
}

/// Everything that lives longer than one connection.
pub(crate) struct Line {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    health: Health,
    heartbeat: Heartbeat,
    shutdown: watch::Receiver<bool>,
    delivery: Delivery,
    pipeline: Option<(Identity, Pipeline)>,
    desk: Desk,
    /// When the table was asked about parked keys.
    keys_looked_at: Option<Instant>,
    /// From the first stream of a history on.
    clerk: Option<Clerk>,
    /// The same, where a topic is to be told.
    notices: Option<Notices>,
    /// Nothing new is begun.
    is_draining: bool,
    purpose: Purpose,
    /// What the metric of received events was when the pipeline was made.
    received_before: u64,
    backoff: Backoff,
    settle: Settle,
    /// The row that could not be published; it counts as mended when it was passed.
    defect: Option<Position>,
    /// The last stream was left with everything confirmed, and the server showed it.
    left_nothing: bool,
}

impl Line {
    /// A line that has not started.
    pub(crate) fn new(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        health: Health,
        heartbeat: Heartbeat,
        shutdown: watch::Receiver<bool>,
        delivery: Delivery,
    ) -> Self {
        let postgres = &settings.postgres;
        let backoff = Backoff::jittered(postgres.reconnect_backoff_ms, postgres.reconnect_backoff_max_ms);
        Self {
            settings,
            metrics,
            health,
            heartbeat,
            shutdown,
            delivery,
            pipeline: None,
            desk: Desk::default(),
            keys_looked_at: None,
            clerk: None,
            notices: None,
            is_draining: false,
            purpose: Purpose::Relay,
            received_before: 0,
            backoff,
            settle: Settle::default(),
            defect: None,
            left_nothing: false,
        }
    }

    /// For another purpose than to relay.
    pub(crate) fn until(self, purpose: Purpose) -> Self {
        Self { purpose, ..self }
    }

    /// Runs until it is told to stop, or its purpose is reached.
    pub(crate) async fn run(mut self) -> Outcome {
        loop {
            let Some(session) = self.connect().await else {
                return self.undrained();
            };
            let started = Instant::now();
            match self.stream(session).await {
                stream::End::Drained => return Outcome::Drained,
                stream::End::Undrained => return self.undrained(),
                stream::End::Lost(fault) => {
                    self.settle.lost(started.elapsed());
                    self.metrics.reconnects.with_label_values(&["postgres"]).inc();
                    self.metrics.show_slot_left();
                    let wait = self.note(fault);
                    if self.pass(wait).await.is_none() {
                        return self.undrained();
                    }
                }
            }
        }
    }

    /// Tries until a session is open; `None` when the relay is to stop.
    async fn connect(&mut self) -> Option<Session> {
        loop {
            let (settings, metrics) = (Arc::clone(&self.settings), Arc::clone(&self.metrics));
            let remembered = self.remembered();
            let opened = self
                .meanwhile(async move { open_session(&settings, remembered, &metrics).await })
                .await?;
            match opened {
                Ok(session) => return Some(session),
                Err(fault) => {
                    let wait = self.note(fault);
                    self.pass(wait).await?;
                }
            }
        }
    }

    /// What this process knows of the server: it had, flushed, whatever was received from it.
    fn remembered(&self) -> Option<Remembered> {
        self.pipeline.as_ref().map(|(identity, pipeline)| Remembered {
            system_identifier: identity.system_identifier,
            timeline: identity.timeline,
            confirmed: pipeline.newest_position(),
        })
    }

    async fn stream(&mut self, session: Session) -> stream::End {
        let identity = session.identity.clone();
        // Before anything waits for what is in flight: the server before may never take another delivery state.
        self.delivery
            .follow((session.control.host().clone(), session.control.address()));
        if self.prepare_pipeline(&identity, session.known.as_ref()).await.is_none() {
            return stream::End::Undrained;
        }
        let settings = Arc::clone(&self.settings);
        let Some(started) = self.meanwhile(async move { session.start(&settings).await }).await else {
            return stream::End::Undrained;
        };
        let (stream, control) = match started {
            Ok(started) => started,
            Err(fault) => return stream::End::Lost(fault),
        };
        match self.take_letters_over(&control, identity.system_identifier).await {
            None => stream::End::Undrained,
            Some(Err(fault)) => stream::End::Lost(fault),
            Some(Ok(())) => stream::Streaming::new(self, stream, control, identity).run().await,
        }
    }

    /// The pipeline for this server: the same one after a lost connection, so that nothing is published twice; a new
    /// one when the server has another history, after everything of the old one is acknowledged.
    async fn prepare_pipeline(&mut self, identity: &Identity, known: Option<&AdvisoryRow>) -> Option<()> {
        while let Some((before, pipeline)) = &mut self.pipeline {
            let same = (before.system_identifier, before.timeline) == (identity.system_identifier, identity.timeline);
            // Without a row the operator has had the memory forgotten: nothing of it counts.
            if same && known.is_some() {
                pipeline.begin_connection();
                return Some(());
            }
            if pipeline.ledger().in_flight_records() == 0 {
                break;
            }
            self.pass(TICK).await?;
        }
        let decoder = OutboxDecoder::new(tables(&self.settings), identity.system_identifier);
        let pipeline = &self.settings.pipeline;
        let limits = Limits {
            in_flight_bytes_max: pipeline.in_flight_bytes_max,
            in_flight_records_max: pipeline.in_flight_records_max,
        };
        let policies = self.settings.outbox.values().map(|outbox| outbox.on_defect).collect();
        let parking = Parking::new(policies, self.settings.dead_letters.limits);
        let pipeline = Pipeline::new(decoder, limits, parking, self.settings.postgres.frame_bytes_max);
        self.forget_letters();
        // Nothing that was not noted was confirmed: the slot brings it again, and its note is then of that.
        self.delivery.forget_notes();
        self.pipeline = Some((identity.clone(), pipeline));
        if self.defect.take().is_some() {
            self.health.set(Part::Row, Condition::Up);
        }
        self.received_before = self.metrics.events_received.get();
        self.delivery.expect_replay(known.and_then(AdvisoryRow::replayed_until));
        Some(())
    }

    /// Shows a fault of the connection and says how long to wait.
    fn note(&mut self, fault: Fault) -> Duration {
        let wait = match fault.kind() {
            FaultKind::Standby => STANDBY_WAIT,
            _ => self.backoff.next_wait(),
        };
        self.health.set(Part::Postgres, Condition::Down(fault));
        wait
    }

    async fn pass(&mut self, wait: Duration) -> Option<()> {
        self.meanwhile(tokio::time::sleep(wait)).await
    }

    /// Waits for something while deliveries go on; `None` when the relay is to stop.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                () = stop_asked(&mut self.shutdown) => return None,
                _ = tick.tick() => {
                    self.beat();
                    self.tend_letters();
                    self.metrics.show_redrives(self.desk.take_counts());
                    if let Some((_, pipeline)) = &mut self.pipeline {
                        self.delivery.turn(pipeline, Instant::now());
                        figures::show(&self.metrics, pipeline, self.received_before);
                    } else {
                        self.delivery.poll();
                        self.delivery.show_brokers();
                    }
                }
                done = &mut work => return Some(done),
            }
        }
    }

    /// The loop turns.
    fn beat(&self) {
        self.heartbeat.beat();
        self.health.tell_what_lasts();
    }

    fn undrained(&self) -> Outcome {
        match &self.pipeline {
            None => Outcome::Untouched,
            Some(_) if self.left_nothing => Outcome::Drained,
            Some(_) => Outcome::Undrained {
                in_flight: self.unsettled_records(),
            },
        }
    }

    fn unsettled_records(&self) -> usize {
        self.pipeline
            .as_ref()
            .map_or(0, |(_, pipeline)| pipeline.ledger().unsettled_records())
    }
}

/// Waits until the relay is to stop.
async fn stop_asked(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could ask.
    if shutdown.wait_for(|&stop| stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn tables(settings: &Settings) -> Vec<OutboxTable> {
    let outboxes = settings.outbox.values().cloned();
    outboxes
        .map(|outbox| OutboxTable {
            schema: outbox.schema,
            table: outbox.table,
            columns: outbox.columns,
            topic: outbox.topic,
            metadata_headers: outbox.metadata_headers,
        })
        .collect()
}

//! The relay under test: the real decoder, pipeline, ledger, delivery and confirmation, moved by hand as `line/stream.rs`
//! moves them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::stream::{StatusUpdate, StreamMessage, split_frame};
use outbox_decoder::{Columns, Lsn, OutboxTable};

use super::judge::Violation;
use super::mutation::Mutation;
use super::producer::Simulated;
use super::server::Server;
use crate::clock;
use crate::config::Settings;
use crate::dead_letter::{Answer, Ask, Desk};
use crate::delivery_state::Journal;
use crate::kafka::simulated::Delivery;
use crate::line::{Confirmation, Sinks};
use crate::pipeline::{Limits, Parking, Pipeline, Progress, Standing, Stop, Until};
use crate::telemetry::Metrics;

pub(super) const IN_FLIGHT_MAX: usize = 12;
pub(super) const FRAME_BYTES_MAX: usize = 1 << 16;
const STATUS_INTERVAL_MS: u64 = 100;
const PATIENCE_MS: u64 = 60_000;

pub(super) struct Subject {
    pipeline: Pipeline,
    delivery: Delivery<Simulated>,
    desk: Desk,
    metrics: Arc<Metrics>,
    confirmation: Confirmation,
    buffer: Vec<u8>,
    is_connected: bool,
    until: Until,
    /// Draining, and there.
    is_at_boundary: bool,
    mutation: Option<Mutation>,
    /// What a bug may remember from one connection to the next.
    flushed_before: Lsn,
    /// Of the newest keepalive of this connection.
    keepalive: Lsn,
}

impl Subject {
    pub(super) fn new(
        producers: Simulated,
        settings: &Settings,
        metrics: &Arc<Metrics>,
        journal: Option<Journal>,
        now: Instant,
    ) -> Self {
        let columns = Columns {
            event_type: None,
            metadata: None,
            created_at: None,
            version: None,
            ..Columns::standard()
        };
        let table = OutboxTable {
            schema: "public".to_owned(),
            table: "outbox".to_owned(),
            columns,
            topic: "{aggregate_type}".parse().expect("a template"),
            metadata_headers: Vec::new(),
        };
        let limits = Limits {
            in_flight_bytes_max: usize::MAX,
            in_flight_records_max: IN_FLIGHT_MAX,
        };
        let parking = Parking::new(vec![settings.outbox["default"].on_defect], settings.dead_letters.limits);
        let mutation = producers.mutation;
        Self {
            pipeline: Pipeline::new(OutboxDecoder::new(vec![table], 7), limits, parking, FRAME_BYTES_MAX),
            delivery: Delivery::simulated(producers, settings, Arc::clone(metrics)).telling(journal),
            desk: Desk::default(),
            metrics: Arc::clone(metrics),
            confirmation: Confirmation::new(STATUS_INTERVAL_MS, PATIENCE_MS, now),
            buffer: Vec::new(),
            is_connected: false,
            until: Until::Exhausted,
            is_at_boundary: false,
            mutation,
            flushed_before: Lsn::ZERO,
            keepalive: Lsn::ZERO,
        }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Something has arrived that could not be dealt with yet.
    pub(super) const fn is_held_up(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// What decides how it goes on. Whatever belongs to a connection begins anew with the next one.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        self.pipeline.ledger().digest(hasher);
        self.delivery.digest(hasher);
        self.is_connected.hash(hasher);
        if self.is_connected {
            self.pipeline.digest(hasher);
            (&self.buffer, self.confirmation.confirmed()).hash(hasher);
        }
        if self.mutation.is_some() {
            (self.flushed_before, self.confirmation.confirmed()).hash(hasher);
            self.keepalive.hash(hasher);
        }
    }

    /// A new stream begins.
    pub(super) fn connect(&mut self, standing: Standing, now: Instant) {
        self.pipeline.parking_mut().read(standing);
        self.flushed_before = self.confirmation.confirmed().max(self.flushed_before);
        self.pipeline.begin_connection();
        self.confirmation = Confirmation::new(STATUS_INTERVAL_MS, PATIENCE_MS, now);
        self.buffer.clear();
        self.keepalive = Lsn::ZERO;
        self.is_at_boundary = false;
        self.is_connected = true;
    }

    /// The stream is lost, in the middle of whatever it was.
    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.buffer.clear();
    }

    /// Bytes arrive and are dealt with as far as can be.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.buffer.extend(bytes);
        if !self.delivery.is_flowing() {
            return Ok(());
        }
        let mut sinks = Sinks {
            delivery: &mut self.delivery,
            desk: &mut self.desk,
            is_table_failing: false,
            metrics: &self.metrics,
        };
        let fed = self.pipeline.feed(&self.buffer, self.until, &mut sinks);
        let consumed = fed.consumed;
        self.is_at_boundary = fed.stop == Stop::CommitBoundary;
        let outcome = match fed.stop {
            Stop::Starved | Stop::Full | Stop::CommitBoundary => Ok(()),
            other => Err(Violation(format!(
                "the stream is sound, and the relay stopped: {other:?}"
            ))),
        };
        let read: Vec<u8> = self.buffer.drain(..consumed).collect();
        self.keepalive = newest_keepalive(&read).unwrap_or(self.keepalive);
        outcome
    }

    /// Reports are collected, and the status update that is due is returned.
    pub(super) fn tick(
        &mut self,
        asked: bool,
        server: &Server,
        arrival: Option<u32>,
        now: Instant,
    ) -> Option<StatusUpdate> {
        self.delivery.turn(&mut self.pipeline, now);
        self.tend_letters();
        if !self.is_connected {
            return None;
        }
        let progress = self.progress(server, arrival);
        self.confirmation.due(progress, asked, now, now)
    }

    /// As `line/letters.rs` does it.
    fn tend_letters(&mut self) {
        for given_up in self.delivery.take_given_up() {
            self.desk.give_up(given_up, clock::now());
        }
        for ticket in self.pipeline.take_published_letters() {
            self.desk.acknowledge(ticket);
        }
        if self.until != Until::CommitBoundary {
            let delivery = &mut self.delivery;
            let send = |ticket, topic: &_, message: &_| delivery.send_ready(ticket, topic, message);
            self.desk.redrive(&mut self.pipeline, clock::now(), send);
        }
    }

    /// What is to be asked of the table of dead letters now.
    pub(super) fn next_ask(&mut self, has_marked: bool) -> Option<Ask> {
        if has_marked {
            self.desk.look_for_marked();
        }
        // More often than the line does it.
        self.desk.look_at(self.pipeline.parking().keys_in_table());
        self.desk.next_ask()
    }

    /// It answers.
    pub(super) fn answered(&mut self, answer: Answer) {
        let answer = match answer {
            Answer::Written(_) if self.mutation == Some(Mutation::PassesLetterBeforeTheStream) => {
                Answer::Written(Lsn::ZERO)
            }
            other => other,
        };
        self.desk.answer(answer, &mut self.pipeline);
    }

    /// What the pipeline says, unless a bug says something else.
    fn progress(&mut self, server: &Server, arrival: Option<u32>) -> Progress {
        let Progress { received, flushed } = self.pipeline.progress();
        let wrong = match self.mutation {
            Some(Mutation::ConfirmsEarly) => received,
            Some(Mutation::KeepalivePassesInFlight) => self.keepalive.max(flushed),
            Some(Mutation::ConfirmsCommitStart) => server.start_of_commit(flushed).unwrap_or(flushed),
            Some(Mutation::ConfirmsByArrival) => end_of(server, arrival).min(received),
            Some(Mutation::ConfirmsAcrossConnections) => self.flushed_before,
            _ => flushed,
        };
        let flushed = if self.mutation == Some(Mutation::ConfirmsCommitStart) {
            wrong
        } else {
            wrong.max(flushed)
        };
        let flushed = flushed.max(self.confirmation.confirmed());
        Progress {
            received: received.max(flushed),
            flushed,
        }
    }

    /// SIGTERM: to the next commit boundary and no further.
    pub(super) const fn drain(&mut self) {
        self.until = Until::CommitBoundary;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.is_at_boundary && self.pipeline.is_idle() && self.desk.is_at_rest()
    }

    pub(super) fn in_flight_records(&self) -> usize {
        self.pipeline.ledger().unsettled_records()
    }
}

fn newest_keepalive(mut read: &[u8]) -> Option<Lsn> {
    let mut newest = None;
    while let Ok(Some(frame)) = split_frame(read, FRAME_BYTES_MAX) {
        if let Ok(StreamMessage::Keepalive { wal_end, .. }) = StreamMessage::parse(frame.body) {
            newest = Some(wal_end);
        }
        read = &read[frame.bytes..];
    }
    newest
}

fn end_of(server: &Server, row: Option<u32>) -> Lsn {
    row.and_then(|row| server.end_of_row(row)).unwrap_or(Lsn::ZERO)
}

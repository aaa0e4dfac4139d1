//! One connection's streaming: read, feed, confirm, until it is lost or drained.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time::{MissedTickBehavior, interval};

use super::interrupt::{self, Interrupt, Notices};
use super::letters::letters_full;
use super::lookout::{Lookout, Seen};
use super::looks::Looks;
use super::pause::WalRate;
use super::sinks::Sinks;
use super::{Line, Purpose, TICK, figures, stop_asked};
use crate::clock;
use crate::dead_letter::{Answer, Clerk};
use crate::fault::{Fault, FaultKind};
use crate::line::confirm::Confirmation;
use crate::pipeline::{DefectCause, Pipeline, Stop, Until};
use crate::postgres::{Advisory, Control, Identity, PostgresError, ReplicationStream, fault, notice_fault};
use crate::telemetry::{Condition, Part, lsn_bytes};

/// How long a server that shuts down may wait for acknowledgements. It waits for ever if nobody leaves.
const LEAVE_AFTER: Duration = Duration::from_secs(2);
/// A row that cannot be published is tried again this often.
const DEFECT_RETRY: Duration = Duration::from_secs(5);

/// How streaming ended.
#[derive(Debug)]
pub(super) enum End {
    /// The connection is gone, or was given up.
    Lost(Fault),
    /// Everything is confirmed.
    Drained,
    /// The time to drain was over.
    Undrained,
}

/// Why nothing is read at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    /// The budget or the producer is full.
    Full,
    /// The next row cannot be published; tried again then.
    Defect(Instant),
    /// Draining, and at the commit boundary.
    Boundary,
}

pub(super) struct Streaming<'l> {
    pub(super) line: &'l mut Line,
    pub(super) stream: ReplicationStream,
    pub(super) control: Control,
    pub(super) advisory: Advisory,
    pub(super) confirmation: Confirmation,
    pause: Option<Pause>,
    /// The stream itself has ended or broken: nothing more can be said on it.
    is_gone: bool,
    heard_at: Instant,
    /// From when on silence counts against the server: while the relay does not read, silence is its own doing.
    silent_from: Instant,
    drain_until: Option<Instant>,
    leave_at: Option<(Instant, Fault)>,
    looks: Looks,
    lookout: Lookout,
    notices: Notices,
    wal_rate: WalRate,
    /// The last row would have been one letter too many.
    are_letters_full: bool,
}

impl<'l> Streaming<'l> {
    pub(super) fn new(line: &'l mut Line, stream: ReplicationStream, control: Control, identity: Identity) -> Self {
        let postgres = &line.settings.postgres;
        let now = Instant::now();
        let confirmation = Confirmation::new(postgres.status_interval_ms, postgres.wal_sender_timeout_ms, now);
        let advisory = Advisory::new(postgres.slot.clone(), identity, now);
        line.settle.begin(received(line), now);
        line.left_nothing = false;
        Self {
            advisory,
            confirmation,
            line,
            stream,
            control,
            pause: None,
            is_gone: false,
            heard_at: now,
            silent_from: now,
            drain_until: None,
            leave_at: None,
            looks: Looks::new(now),
            lookout: Lookout::default(),
            notices: Notices::default(),
            wal_rate: WalRate::default(),
            are_letters_full: false,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let streamed = self.stream().await;
        let heartbeat = self.line.heartbeat.clone();
        match streamed {
            Err(end) => heartbeat.beat_while(self.leave(end)).await,
            Ok(()) => heartbeat.beat_while(self.say_goodbye()).await,
        }
    }

    /// Streams until everything is drained.
    async fn stream(&mut self) -> Result<(), End> {
        let status_interval = Duration::from_millis(self.line.settings.postgres.status_interval_ms);
        let mut tick = interval(TICK.min(status_interval));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.feed().await?;
            if self.is_drained() {
                return Ok(());
            }
            let (is_draining, is_leaving) = (self.drain_until.is_some(), self.leave_at.is_some());
            let (wants_bytes, wants_reports) = (self.wants_bytes(), self.wants_reports());
            let look = tokio::time::sleep(self.next_look(Instant::now()));
            // In this order: what must never be late comes first.
            tokio::select! {
                biased;
                () = stop_asked(&mut self.line.shutdown), if !is_draining => self.begin_drain(),
                at = tick.tick() => self.tick(at.into_std()).await?,
                () = look, if wants_reports => self.look(),
                answer = answered(&mut self.line.clerk) => self.line.answered(answer),
                error = self.control.ended(), if !is_leaving => self.server_leaves(&error),
                read = self.stream.read(), if wants_bytes => {
                    read.map_err(|error| self.gone(&error))?;
                    self.heard_at = Instant::now();
                    self.silent_from = self.heard_at;
                    self.line.delivery.poll();
                    self.looks.note(self.heard_at);
                }
            }
        }
    }

    /// Gives the pipeline what was read, until it needs more or must pause.
    async fn feed(&mut self) -> Result<(), End> {
        while self.may_feed() {
            let until = if self.drain_until.is_some() {
                Until::CommitBoundary
            } else {
                Until::Exhausted
            };
            let Line {
                pipeline: Some((_, pipeline)),
                delivery,
                desk,
                clerk,
                defect: halted_at,
                health,
                metrics,
                ..
            } = &mut *self.line
            else {
                return Ok(());
            };
            let mut sinks = Sinks {
                delivery,
                desk,
                is_table_failing: clerk.as_ref().is_some_and(Clerk::is_failing),
                metrics,
            };
            let received_before = pipeline.counts().received;
            let fed = pipeline.feed(self.stream.buffer(), until, &mut sinks);
            let received = pipeline.counts().received - received_before;
            let were_letters_full = std::mem::take(&mut self.are_letters_full);
            let (consumed, asked) = (fed.consumed, fed.reply_requested);
            let (pause, control) = match fed.stop {
                Stop::Starved => (None, None),
                Stop::Full => (Some(Pause::Full), None),
                Stop::CommitBoundary => (Some(Pause::Boundary), None),
                Stop::Control(frame) => (None, Some(interrupt::owned(frame))),
                Stop::Defect(defect) => {
                    let is_news = halted_at.replace(defect.position) != Some(defect.position);
                    let is_mapping = matches!(defect.cause, DefectCause::Mapping(_));
                    let fault = interrupt::defect_fault(defect);
                    // What the producer refuses is counted where that is known.
                    if is_news && is_mapping {
                        let labels = [fault.code.name()];
                        metrics.publish_failures.with_label_values(&labels).inc();
                    }
                    health.set(Part::Row, Condition::Down(fault));
                    (Some(Pause::Defect(Instant::now() + DEFECT_RETRY)), None)
                }
                Stop::LettersFull => {
                    self.are_letters_full = true;
                    health.set(Part::Row, Condition::Down(letters_full()));
                    (Some(Pause::Defect(Instant::now() + DEFECT_RETRY)), None)
                }
                Stop::Broken(error) => return Err(self.lost(&error.into())),
            };
            if halted_at.is_some_and(|position| pipeline.ledger().has_taken(position)) {
                *halted_at = None;
                health.set(Part::Row, Condition::Up);
            } else if were_letters_full && !self.are_letters_full && halted_at.is_none() {
                health.set(Part::Row, Condition::Up);
            }
            self.stream.consume(consumed, received);
            if asked {
                self.send_status(true).await?;
            }
            let is_over = control.is_none();
            if let Some(frame) = control {
                self.control_frame(frame)?;
            }
            self.pause = pause;
            if is_over {
                return Ok(());
            }
        }
        Ok(())
    }

    /// After a full budget a quarter of it must be free: going on for every single acknowledgement costs more than it
    /// gains.
    fn may_feed(&self) -> bool {
        match self.pause {
            _ if self.is_stopped() => false,
            None => true,
            Some(Pause::Boundary) => !self.may_stop_here(),
            Some(Pause::Defect(until)) => Instant::now() >= until,
            Some(Pause::Full) => self.line.delivery.is_flowing() && self.has_room(),
        }
    }

    /// Somebody has paused the relay. A drain goes on to the boundary all the same.
    fn is_stopped(&self) -> bool {
        self.drain_until.is_none() && self.line.paused().is_some()
    }

    fn wants_bytes(&self) -> bool {
        match self.pause {
            _ if self.is_stopped() => false,
            None => true,
            // What is confirmed may wait for the stream to come further.
            Some(Pause::Boundary) => !self.may_stop_here(),
            Some(Pause::Full | Pause::Defect(_)) => false,
        }
    }

    fn may_stop_here(&self) -> bool {
        let pipeline = self.line.pipeline.as_ref();
        pipeline.is_none_or(|(_, pipeline)| pipeline.may_stop_here())
    }

    fn has_room(&self) -> bool {
        let Some((_, pipeline)) = &self.line.pipeline else {
            return false;
        };
        let limits = &self.line.settings.pipeline;
        pipeline.ledger().in_flight_bytes() <= limits.in_flight_bytes_max / 4 * 3
            && pipeline.ledger().unsettled_records() <= limits.in_flight_records_max / 4 * 3
    }

    /// With nothing in flight and nothing that waits, the tick is soon enough.
    fn wants_reports(&self) -> bool {
        let is_waiting = self.pause.is_some() || self.drain_until.is_some() || !self.line.delivery.is_flowing();
        is_waiting || self.line.unsettled_records() > 0 || !self.line.desk.is_at_rest()
    }

    /// While bytes gather, the read after that is soon enough.
    fn next_look(&self, now: Instant) -> Duration {
        self.looks.wait(now) + self.stream.nap_left(now)
    }

    fn look(&mut self) {
        let has_moved = self.turn();
        if self.line.tend_letters() || has_moved {
            self.looks.note(Instant::now());
        }
    }

    /// Whether anything has moved.
    fn turn(&mut self) -> bool {
        match &mut self.line.pipeline {
            Some((_, pipeline)) => self.line.delivery.turn(pipeline, Instant::now()),
            None => false,
        }
    }

    /// The stream has lasted, or brought events: it works.
    fn settle(&mut self, now: Instant) {
        let received = received(self.line);
        if self.line.settle.has_settled(received, now) {
            self.line.backoff.reset();
            self.line.health.set(Part::Postgres, Condition::Up);
        }
    }

    async fn tick(&mut self, now: Instant) -> Result<(), End> {
        self.settle(now);
        self.line.beat();
        self.look();
        self.line.metrics.show_redrives(self.line.desk.take_counts());
        if let Some((_, pipeline)) = &self.line.pipeline {
            figures::show(&self.line.metrics, pipeline, self.line.received_before);
        }
        let is_asked = self.line.settle.wants_proof(now);
        self.update_status(is_asked, now).await?;
        self.remember(now);
        let Line { settings, metrics, .. } = &*self.line;
        if let Some(seen) = self.lookout.look(self.control.client(), settings, metrics, now) {
            self.note(seen, now)?;
        }
        if let Some(fault) = self.line.outrun() {
            return Err(End::Lost(fault));
        }
        if self
            .drain_until
            .is_some_and(|until| now >= until || self.can_never_drain())
        {
            return Err(End::Undrained);
        }
        if let Some((at, fault)) = &self.leave_at
            && (now >= *at || self.may_leave())
        {
            return Err(End::Lost(fault.clone()));
        }
        if self.pause.is_some() || self.is_stopped() {
            self.silent_from = now;
        } else if self.confirmation.is_overdue(self.silent_from, now) {
            return Err(self.lost(&PostgresError::TimedOut {
                what: "a sign of life from the server",
                timeout_ms: self.line.settings.postgres.wal_sender_timeout_ms,
            }));
        }
        Ok(())
    }

    /// What was seen beside the stream.
    fn note(&mut self, seen: Seen, now: Instant) -> Result<(), End> {
        if let Some(slot) = &seen.slot {
            self.wal_rate.look(slot, now);
        }
        if let Some(letters) = seen.letters {
            self.line.note_letters(letters, self.are_letters_full, now);
        }
        if let Some(controls) = seen.controls {
            let is_asked = controls.is_redrive_asked;
            self.line.obey(controls);
            let is_done = !is_asked && self.line.desk.is_done();
            if self.line.purpose == Purpose::Redrive && is_done && self.drain_until.is_none() {
                self.begin_drain();
            }
        }
        let paused = self.line.paused().map(|why| self.wal_rate.fault(why));
        let condition = paused.map_or(Condition::Up, Condition::Down);
        self.line.health.set(Part::Pause, condition);
        seen.fault.map_or(Ok(()), |fault| Err(End::Lost(fault)))
    }

    pub(super) async fn send_status(&mut self, asked: bool) -> Result<(), End> {
        self.update_status(asked, Instant::now()).await
    }

    async fn update_status(&mut self, asked: bool, now: Instant) -> Result<(), End> {
        let Some((_, pipeline)) = &mut self.line.pipeline else {
            return Ok(());
        };
        let progress = pipeline.progress();
        if let Some(status) = self.confirmation.due(progress, asked, self.silent_from, now) {
            let sent = self.line.heartbeat.beat_while(self.stream.send_status(status)).await;
            sent.map_err(|error| self.gone(&error))?;
            self.line.metrics.received_lsn.set(lsn_bytes(progress.received));
            self.line.metrics.confirmed_lsn.set(lsn_bytes(progress.flushed));
            self.line
                .metrics
                .last_message
                .set(clock::unix_seconds(clock::now()) - self.heard_at.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Writes the advisory row when it is due. Nobody waits for it: it decides nothing here.
    fn remember(&mut self, now: Instant) {
        let Some((_, pipeline)) = &self.line.pipeline else {
            return;
        };
        if self.leave_at.is_some() {
            return;
        }
        // Of events only: on PostgreSQL 14 the row's own transaction comes back as an empty one.
        let confirmed = self.confirmation.confirmed().min(pipeline.newest_event_end());
        if self.advisory.is_due(confirmed, now) {
            let write = self.advisory.write(self.control.client(), confirmed, false, now);
            tokio::spawn(async move {
                if let Err(error) = write.await {
                    tracing::warn!("the advisory row could not be written: {error}");
                }
            });
        }
    }

    fn begin_drain(&mut self) {
        let drain_timeout_ms = self.line.settings.pipeline.drain_timeout_ms;
        tracing::info!(
            drain_timeout_ms,
            "stopping: draining to a commit boundary; a second signal leaves at once"
        );
        self.line.health.set_draining();
        self.line.is_draining = true;
        self.drain_until = Some(Instant::now() + Duration::from_millis(drain_timeout_ms));
    }

    fn is_drained(&self) -> bool {
        self.pause == Some(Pause::Boundary) && self.is_idle() && self.line.desk.is_at_rest()
    }

    /// The open transaction has a row that cannot be published, and nothing is awaited of what is before it.
    fn can_never_drain(&self) -> bool {
        matches!(self.pause, Some(Pause::Defect(_))) && self.line.unsettled_records() == 0
    }

    fn is_idle(&self) -> bool {
        self.line
            .pipeline
            .as_ref()
            .is_some_and(|(_, pipeline)| Pipeline::is_idle(pipeline))
    }

    /// Everything that was ever taken is confirmed, on this connection too: nothing of it comes again.
    pub(super) fn may_leave(&self) -> bool {
        let pipeline = self.line.pipeline.as_ref();
        pipeline.is_some_and(|(_, pipeline)| pipeline.is_idle() && pipeline.may_stop_here())
    }

    /// The control connection ended: usually the server shuts down, and then its walsender waits for this relay.
    fn server_leaves(&mut self, error: &PostgresError) {
        let fault = fault(error, &self.line.settings.postgres);
        tracing::info!(
            code = fault.code.name(),
            "the control connection ended; leaving once all is confirmed: {error}"
        );
        self.leave_at = Some((Instant::now() + LEAVE_AFTER, fault));
    }

    fn control_frame(&mut self, frame: BytesMut) -> Result<(), End> {
        match interrupt::read(frame) {
            Interrupt::Notice(notice) => {
                let now = Instant::now();
                match notice_fault(&notice, &self.line.settings.postgres) {
                    Some(fault) if fault.kind() == FaultKind::Transient => {
                        let received = received(self.line);
                        self.line.settle.doubt(received, now);
                        self.line.health.set(Part::Postgres, Condition::Down(fault));
                    }
                    Some(fault) => return Err(End::Lost(fault)),
                    None => self.notices.log(notice, now),
                }
                Ok(())
            }
            Interrupt::Parameter => Ok(()),
            Interrupt::End(error) => Err(self.gone(&error)),
        }
    }

    /// How long the drain may still take.
    pub(super) fn drain_left(&self) -> Duration {
        let until = self.drain_until.unwrap_or_else(Instant::now);
        until.saturating_duration_since(Instant::now())
    }

    /// Nothing speaks against the connection being whole.
    pub(super) fn can_still_confirm(&self) -> bool {
        !self.is_gone && !self.confirmation.is_overdue(self.silent_from, Instant::now())
    }

    fn gone(&mut self, error: &PostgresError) -> End {
        self.is_gone = true;
        self.lost(error)
    }

    fn lost(&self, error: &PostgresError) -> End {
        End::Lost(fault(error, &self.line.settings.postgres))
    }
}

/// Waits for what the table of dead letters answers.
async fn answered(clerk: &mut Option<Clerk>) -> Answer {
    match clerk {
        Some(clerk) => clerk.answered().await,
        None => std::future::pending().await,
    }
}

/// How many events this process has taken so far.
fn received(line: &Line) -> u64 {
    line.pipeline
        .as_ref()
        .map_or(0, |(_, pipeline)| pipeline.counts().received)
}

//! Keeps records flowing to Kafka in order, and stops, clears and rebuilds when one of them fails.
//!
//! ```text
//!            first failed report                every ticket reported
//!  Flowing ─────────────────────► Clearing ───────────────────────────► Waiting
//!     ▲                          (purged)                                  │ backoff is over
//!     └────────────────────── new producer, everything sent again ─────────┘
//! ```
//!
//! A failed or purged report carries its record, so the line is rebuilt from the reports in the ledger's order, and the
//! slot is not read again. A broker refuses whole batches: after a refusal the records go out one a batch, until the
//! one that is refused alone is known. What may be handed to a producer, and when, is [`Outlet`]'s.

mod blame;
mod condition;
mod giving_up;
mod intake;
mod renewal;
mod retry;

use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_decoder::Timestamp;
use rdkafka::error::RDKafkaErrorCode;

use self::blame::{Blame, cause, more_telling};
#[cfg(test)]
pub(crate) use self::giving_up::FOLLOWERS_GO_ON;
use self::giving_up::Fate;
use self::renewal::Renewal;
use self::retry::Retry;
use crate::config::Settings;
use crate::dead_letter::{GivenUp, Place};
use crate::delivery_state::Journal;
use crate::fault::{Fault, FaultKind};
use crate::kafka::outlet::{Closed, Outlet};
use crate::kafka::policy;
use crate::kafka::produce::{Produce, Producers};
use crate::kafka::producer::Librdkafka;
use crate::kafka::properties::Batching;
use crate::kafka::refused::{Refused, count_failure};
use crate::kafka::reports::{Failed, Reports, Taken};
use crate::kafka::stall::Stall;
use crate::kafka::start_error::StartError;
use crate::pipeline::Pipeline;
use crate::telemetry::{Health, Metrics};

/// A purge that did not bring everything back is repeated after this.
const PURGE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why a record cannot be sent at all.
pub(crate) type Refusal = Fault;

/// The producer and what happens around it when it fails.
pub(crate) struct Delivery<P: Producers = Librdkafka> {
    producers: P,
    reports: Arc<Reports>,
    container: Taken,
    state: State<P::Producer>,
    retry: Retry,
    /// Events that committed until then may have been published by a relay that could not say goodbye.
    replayed_until: Option<Timestamp>,
    /// Why the line counts as down.
    blame: Option<Blame>,
    refused: Refused,
    renewal: Renewal,
    stall: Stall,
    /// What goes to the dead letters, until somebody takes it.
    given_up: Vec<GivenUp>,
    /// Where what becomes of events is kept in the database.
    journal: Option<Journal>,
    metrics: Arc<Metrics>,
    health: Health,
}

enum State<P> {
    Flowing(Box<Outlet<P>>),
    Clearing(Clearing<P>),
    Waiting {
        batching: Batching,
        failed: Vec<Failed>,
        until: Instant,
        /// Why no producer could be made the last time.
        obstacle: Option<Fault>,
    },
}

/// A producer that was given up, until each of its records has come back.
struct Clearing<P> {
    producer: P,
    batching: Batching,
    failed: Vec<Failed>,
    fatal: Option<RDKafkaErrorCode>,
    /// Nothing failed: the next producer is made from files that have changed, or by a clock that was set.
    is_renewal: bool,
    purged_at: Instant,
}

impl Delivery {
    /// Starts a producer. It connects by itself; nothing here waits for a broker.
    ///
    /// # Errors
    /// librdkafka does not accept the configuration, or a secret's file cannot be read.
    pub(crate) fn start(settings: &Settings, metrics: Arc<Metrics>, health: Health) -> Result<Self, StartError> {
        let producers = Librdkafka::new(settings.kafka.clone(), settings.pipeline.clone());
        let outboxes = settings.outbox.values().cloned().collect();
        Self::with(producers, Retry::new(outboxes, settings.retry), metrics, health)
    }

    /// The stream comes from there now.
    pub(crate) fn follow(&self, place: Place) {
        if let Some(journal) = &self.journal {
            journal.follow(place);
        }
    }

    /// What is not noted yet belongs to a history that is over.
    pub(crate) fn forget_notes(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.forget();
        }
    }
}

impl<P: Producers> Delivery<P> {
    /// Tells a journal what becomes of events.
    pub(crate) fn telling(self, journal: Option<Journal>) -> Self {
        Self { journal, ..self }
    }

    /// One that the simulation turns.
    #[cfg(test)]
    pub(crate) fn simulated(producers: P, settings: &Settings, metrics: Arc<Metrics>) -> Self {
        let outboxes = settings.outbox.values().cloned().collect();
        let retry = Retry::new(outboxes, settings.retry);
        Self::with(producers, retry, metrics, Health::default()).expect("a simulated producer can be made")
    }

    /// What decides how it goes on, without times, for the simulation that visits every state.
    ///
    /// # Panics
    /// The line was stopped: in that simulation nothing is refused.
    #[cfg(test)]
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        let State::Flowing(outlet) = &self.state else {
            panic!("the line was stopped, and no broker has refused anything");
        };
        outlet.digest(hasher);
        self.reports.digest(hasher);
    }

    /// Starts a producer of these.
    ///
    /// # Errors
    /// None can be made.
    fn with(producers: P, retry: Retry, metrics: Arc<Metrics>, health: Health) -> Result<Self, StartError> {
        let reports = Arc::<Reports>::default();
        let producer = producers.open(Batching::Full, &reports)?;
        let outlet = Outlet::of(producer, Batching::Full, Instant::now());
        Ok(Self {
            producers,
            reports,
            container: Taken::default(),
            state: State::Flowing(Box::new(outlet)),
            retry,
            replayed_until: None,
            blame: None,
            refused: Refused::default(),
            renewal: Renewal::default(),
            stall: Stall::default(),
            given_up: Vec::new(),
            journal: None,
            metrics,
            health,
        })
    }

    /// Counts events that committed until then as possible duplicates.
    pub(crate) const fn expect_replay(&mut self, until: Option<Timestamp>) {
        self.replayed_until = until;
    }

    /// Has the producer report what has happened: whatever is acknowledged counts from then on. [`Delivery::turn`] does
    /// this too, and more.
    pub(crate) fn poll(&self) {
        match &self.state {
            State::Flowing(outlet) => outlet.producer().poll(),
            State::Clearing(clearing) => clearing.producer.poll(),
            State::Waiting { .. } => {}
        }
    }

    /// Whether new records can be taken.
    pub(crate) fn is_flowing(&self) -> bool {
        !self.is_halted() && matches!(&self.state, State::Flowing(outlet) if outlet.is_open())
    }

    fn is_halted(&self) -> bool {
        self.blame.as_ref().is_some_and(Blame::holds_back)
    }

    /// Takes the reports that have come and goes on to whatever they lead to; whether anything has moved.
    pub(crate) fn turn(&mut self, pipeline: &mut Pipeline, now: Instant) -> bool {
        self.poll();
        let mut taken = std::mem::take(&mut self.container);
        self.reports.take(&mut taken);
        let (has_come, was_flowing) = (!taken.is_empty(), self.is_flowing());
        self.acknowledge(pipeline, &mut taken, now);
        let failed = std::mem::take(&mut taken.failed);
        if let (true, State::Flowing(outlet)) = (taken.has_erred, &mut self.state) {
            outlet.look_for_fatal_error();
        }
        self.container = taken;
        self.note_failures(failed, now);
        self.renew(pipeline, now);
        self.advance(pipeline, now);
        self.show_condition(pipeline, now);
        has_come || self.is_flowing() != was_flowing
    }

    fn acknowledge(&mut self, pipeline: &mut Pipeline, taken: &mut Taken, now: Instant) {
        if let State::Flowing(outlet) = &mut self.state {
            for &(ticket, _) in &taken.acknowledged {
                outlet.acknowledged(ticket);
            }
        }
        self.metrics.events_acknowledged.inc_by(taken.acknowledged.len() as u64);
        let metrics = &self.metrics;
        let show = |ended: Option<Timestamp>, at| {
            if let Some(committed_at) = ended {
                metrics.show_acknowledged_commit(committed_at, at);
            }
        };
        for &(ticket, at) in &taken.acknowledged {
            let journal = self.journal.as_mut();
            if journal.is_some_and(|journal| journal.acknowledged(ticket, at)) {
                pipeline.await_note(ticket);
            } else {
                show(pipeline.acknowledge(ticket), at);
            }
        }
        for (ticket, at) in self.journal.iter_mut().flat_map(Journal::exchange) {
            show(pipeline.noted(ticket), at);
        }
        if let State::Flowing(outlet) = &mut self.state {
            for (topic, partitions) in &taken.counted {
                outlet.counted(topic, *partitions, now);
            }
        }
    }

    fn note_failures(&mut self, arrived: Vec<Failed>, now: Instant) {
        self.count_failures(&arrived);
        match &mut self.state {
            State::Clearing(clearing) => clearing.failed.extend(arrived),
            State::Flowing(outlet) if arrived.is_empty() && !outlet.is_fatal() => {}
            State::Flowing(_) => self.stop_the_line(arrived, false, now),
            State::Waiting { .. } => assert!(arrived.is_empty(), "a report came after every ticket had reported"),
        }
    }

    fn count_failures(&self, failed: &[Failed]) {
        for failed in failed.iter().filter(|failed| !policy::is_consequence(failed.code)) {
            count_failure(failed.code, &self.metrics);
        }
    }

    /// The brokers refuse a producer whose files have changed since it was made, or it waits for times that come later
    /// than they should: the next one is made from the new files, and by the new clock.
    fn renew(&mut self, pipeline: &Pipeline, now: Instant) {
        if let Some(why) = self.reports.take_refusal() {
            self.renewal.refused(why, pipeline.ledger().next_ticket(), now);
        }
        if let State::Flowing(outlet) = &self.state
            && outlet.producer().is_late()
            && self.reports.are_brokers_down()
        {
            tracing::info!("the system clock was set back; the brokers are connected to anew");
            self.stop_the_line(Vec::new(), true, now);
        }
        let oldest = pipeline.ledger().unacknowledged().next();
        if let State::Flowing(outlet) = &self.state
            && self.renewal.look_now(oldest, self.reports.are_brokers_up(), now)
            && self.producers.is_outdated(outlet.producer())
        {
            tracing::info!("files that the login to Kafka needs have changed; they are read anew");
            self.stop_the_line(Vec::new(), true, now);
        }
    }

    fn stop_the_line(&mut self, mut failed: Vec<Failed>, is_renewal: bool, now: Instant) {
        let waiting = State::Waiting {
            batching: Batching::Full,
            failed: Vec::new(),
            until: now,
            obstacle: None,
        };
        if let State::Flowing(outlet) = std::mem::replace(&mut self.state, waiting) {
            let Closed {
                producer,
                batching,
                unsent,
                fatal,
            } = outlet.close();
            self.count_failures(&unsent);
            failed.extend(unsent);
            self.state = State::Clearing(Clearing {
                producer,
                batching,
                failed,
                fatal,
                is_renewal,
                purged_at: now,
            });
        }
    }

    fn advance(&mut self, pipeline: &mut Pipeline, now: Instant) {
        let in_flight = pipeline.ledger().in_flight_records();
        match &mut self.state {
            State::Clearing(clearing) if clearing.failed.len() == in_flight => {
                let (mut failed, batching, fatal) =
                    (std::mem::take(&mut clearing.failed), clearing.batching, clearing.fatal);
                for failed in &mut failed {
                    failed.kept = pipeline.ledger().kept(failed.ticket);
                }
                failed.sort_unstable_by_key(|failed| failed.ticket);
                if clearing.is_renewal && is_connection_alone(&failed, fatal) {
                    self.rebuild(failed, batching, now);
                } else {
                    self.plan_retry(failed, batching, fatal, (pipeline, now));
                }
            }
            State::Clearing(clearing) if now.duration_since(clearing.purged_at) >= PURGE_AGAIN_AFTER => {
                // A batch can come back into a queue after the purge, from the thread of an earlier leader.
                clearing.producer.purge();
                clearing.purged_at = now;
            }
            State::Waiting {
                failed,
                batching,
                until,
                ..
            } if now >= *until => {
                let (failed, batching) = (std::mem::take(failed), *batching);
                self.rebuild(failed, batching, now);
            }
            State::Flowing(outlet) if outlet.has_isolated() && in_flight == 0 => {
                self.rebuild(Vec::new(), Batching::Full, now);
            }
            State::Flowing(outlet) => {
                outlet.renew(now);
                outlet.pump(&self.metrics);
            }
            State::Clearing(_) | State::Waiting { .. } => {}
        }
    }

    /// Every record in flight has come back. Decides what is to blame and when to try again.
    fn plan_retry(
        &mut self,
        failed: Vec<Failed>,
        batching: Batching,
        fatal: Option<RDKafkaErrorCode>,
        (pipeline, now): (&mut Pipeline, Instant),
    ) {
        let (cause, blamed) = cause(&failed, batching, fatal);
        let cause = more_telling(self.blame.as_ref(), cause);
        let narrowing = cause.kind() == FaultKind::EventDefect && batching == Batching::Full;
        let next = if cause.kind() == FaultKind::EventDefect {
            Batching::Isolating
        } else {
            Batching::Full
        };
        let until = if narrowing {
            tracing::info!(
                code = cause.code.name(),
                "{}; sending the batch record by record to find which",
                cause.message
            );
            now
        } else {
            let decision = match blamed {
                Some(record) if cause.kind() == FaultKind::EventDefect => self.retry.refused(record, now),
                blamed => self.retry.failed(blamed, now),
            };
            let mut told = cause.clone();
            if let (Some(attempts), Some(record)) = (decision.gives_up, blamed) {
                match giving_up::fate(record, pipeline) {
                    Fate::GivenUp { parks_key } => {
                        let ticket = record.ticket;
                        return self.give_up(failed, ticket, (cause, attempts, parks_key), (pipeline, now));
                    }
                    Fate::NoRoom => told = giving_up::without_room(told),
                    Fate::Halts => {}
                }
            }
            if let (Some(journal), Some(record)) = (&mut self.journal, blamed) {
                journal.failed(record.ticket, cause.code.name());
            }
            let until = now + decision.wait;
            // What people know already does not become unknown by another record that is refused in between.
            let is_known = self.blame.as_ref().is_some_and(|blame| blame.told(now).is_some());
            let told_at = if is_known { now } else { decision.told_at };
            let newest = failed.last().map(|failed| failed.ticket);
            let was_refused = failed.iter().any(|failed| policy::is_refused_connection(failed.code));
            // A refused connection is shown as that, of the brokers; the next producer reads what it logs in with anew.
            if !(was_refused && is_connection_alone(&failed, fatal)) {
                self.blame = Some(Blame::new(told, newest, until, told_at));
            }
            until
        };
        self.state = State::Waiting {
            batching: next,
            failed,
            until,
            obstacle: None,
        };
    }

    /// A new producer, and everything that failed once more, in the ledger's order.
    fn rebuild(&mut self, failed: Vec<Failed>, batching: Batching, now: Instant) {
        match self.producers.open(batching, &self.reports) {
            Ok(producer) => {
                let mut outlet = Outlet::of(producer, batching, now);
                if !failed.is_empty() {
                    self.metrics.producer_rebuilds.inc();
                }
                outlet.send_again(failed);
                outlet.pump(&self.metrics);
                self.state = State::Flowing(Box::new(outlet));
                self.renewal.done();
                if self.blame.is_none() {
                    self.retry.reset();
                }
            }
            Err(error) => {
                self.state = State::Waiting {
                    batching,
                    failed,
                    until: now + self.retry.next_wait(),
                    obstacle: Some(error.fault()),
                };
            }
        }
    }
}

/// Nothing was wrong with a record: at most a connection was refused, and the rest are its consequences.
fn is_connection_alone(failed: &[Failed], fatal: Option<RDKafkaErrorCode>) -> bool {
    let mut causes = failed.iter().filter(|failed| !policy::is_consequence(failed.code));
    fatal.is_none_or(policy::is_consequence) && causes.all(|failed| policy::is_refused_connection(failed.code))
}

//! What librdkafka reports when it is polled, and what its brokers answer, for the loop, which decides.
//!
//! The queue needs no bound of its own: it holds at most one report for each record in flight.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outbox_decoder::{Position, Timestamp, TopicName};
use rdkafka::bindings::{rd_kafka_message_status, rd_kafka_msg_status_t};
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, OwnedMessage};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Message};

use crate::clock;
use crate::config::KafkaSettings;
use crate::fault::{Fault, FaultKind};
use crate::kafka::connection::{self, Said};
use crate::kafka::expectation::Expectation;
use crate::kafka::policy;
use crate::kafka::properties::LOG_TARGET;
use crate::kafka::token::Tokens;
use crate::pipeline::{Kept, Ticket};

/// A record that was not delivered, with all that is needed to send it again.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) ticket: Ticket,
    pub(crate) code: RDKafkaErrorCode,
    /// Whether a broker may have written it all the same: sent again, it may be there twice.
    pub(crate) may_be_persisted: bool,
    pub(crate) record: OwnedMessage,
    /// From the ledger, once every record has come back.
    pub(crate) kept: Option<Kept>,
}

impl Failed {
    /// The text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let value = self.record.headers()?.iter().find(|header| header.key == name)?.value?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Where its row stands, by its own header.
    ///
    /// # Panics
    /// It has none: every record that is published from the slot has.
    pub(crate) fn position(&self) -> Position {
        let header = self.header("position");
        let position = header.as_deref().and_then(Position::from_header);
        position.expect("a record from the slot has its position")
    }

    /// Names the record without its content.
    pub(super) fn describe(&self) -> String {
        let id = self.header("id").unwrap_or_default();
        // What is published once more has none.
        let position = self.header("position").map(|position| format!("position {position}, "));
        let bytes = self.record.payload().map_or(0, <[u8]>::len);
        format!(
            "event {id} ({}{bytes} bytes) for topic {}",
            position.unwrap_or_default(),
            self.record.topic()
        )
    }
}

/// Reports since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) acknowledged: Vec<(Ticket, Timestamp)>,
    pub(super) failed: Vec<Failed>,
    /// The producer has said that something is wrong; it may be beyond repair.
    pub(super) has_erred: bool,
    /// Topics and the number of their partitions.
    pub(super) counted: Vec<(TopicName, usize)>,
}

/// What is known of the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Brokers {
    /// Nothing yet.
    #[default]
    Unknown,
    /// They answer.
    Up,
    /// librdkafka lost them. Brokers close idle connections too, so one question decides.
    Suspect(Fault),
    /// They do not answer.
    Down(Fault),
}

impl Brokers {
    /// Whether time goes by in which records could be acknowledged.
    pub(super) const fn could_acknowledge(&self) -> bool {
        matches!(self, Self::Up | Self::Suspect(_))
    }
}

/// A broker at `address` may expect something else than it gets; then this is the fault.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) address: String,
    pub(super) expectation: Expectation,
    pub(super) fault: Fault,
}

/// Shared by the loop, which polls, so that callbacks run there, and takes what they left, and the thread that asks.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    taken: Mutex<Taken>,
    brokers: Mutex<Brokers>,
    /// What librdkafka said last of a connection to a broker.
    trouble: Mutex<Option<String>>,
    /// Why there is no token, as long as there is none.
    no_token: Mutex<Option<Fault>>,
    /// A broker whose certificate was refused.
    refused_certificate: Mutex<Option<String>>,
    /// A broker that may expect something else than it gets.
    doubt: Mutex<Option<Doubt>>,
    /// Why a broker and the relay did not trust each other, the last time.
    refusal: Mutex<Option<Fault>>,
    are_brokers_up: AtomicBool,
    heard: AtomicU64,
}

impl Reports {
    /// Swaps what has come for an emptied container, so that neither side allocates anew.
    pub(super) fn take(&self, container: &mut Taken) {
        container.acknowledged.clear();
        container.failed.clear();
        container.counted.clear();
        container.has_erred = false;
        std::mem::swap(&mut *self.lock(), container);
    }

    /// How often librdkafka has called back.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn brokers(&self) -> Brokers {
        of(&self.brokers).clone()
    }

    /// Cheap: asked for every delivery report.
    pub(super) fn are_brokers_up(&self) -> bool {
        self.are_brokers_up.load(Ordering::Acquire)
    }

    /// See [`Brokers::could_acknowledge`].
    pub(super) fn could_brokers_acknowledge(&self) -> bool {
        of(&self.brokers).could_acknowledge()
    }

    /// They were asked, and did not answer.
    pub(super) fn are_brokers_down(&self) -> bool {
        matches!(*of(&self.brokers), Brokers::Down(_))
    }

    pub(crate) fn brokers_answered(&self) {
        self.set_brokers(Brokers::Up);
    }

    /// A reason that needs somebody, such as a refused login, is not hidden behind "no broker answers", which follows.
    fn brokers_lost(&self, fault: Fault) {
        match self.brokers() {
            Brokers::Suspect(_) | Brokers::Down(_) if fault.kind() == FaultKind::Transient => {}
            Brokers::Down(_) => self.set_brokers(Brokers::Down(fault)),
            Brokers::Unknown | Brokers::Up | Brokers::Suspect(_) => self.set_brokers(Brokers::Suspect(fault)),
        }
    }

    /// They were asked and did not answer.
    pub(super) fn brokers_are_silent(&self) {
        match self.brokers() {
            Brokers::Down(_) => {}
            Brokers::Suspect(fault) => self.set_brokers(Brokers::Down(fault)),
            Brokers::Unknown | Brokers::Up => {
                self.set_brokers(Brokers::Down(policy::unreachable(self.trouble().as_deref())));
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        of(&self.trouble).clone()
    }

    /// Why a broker and the relay have refused each other since this was last asked.
    pub(super) fn take_refusal(&self) -> Option<Fault> {
        of(&self.refusal).take()
    }

    /// The broker whose certificate was refused last, once.
    pub(super) fn take_refused_certificate(&self) -> Option<String> {
        of(&self.refused_certificate).take()
    }

    /// What a broker may expect, once.
    pub(super) fn take_doubt(&self) -> Option<Doubt> {
        of(&self.doubt).take()
    }

    /// A better account of what is known already.
    pub(super) fn explain(&self, fault: Fault) {
        match self.brokers() {
            Brokers::Suspect(known) if known.code == fault.code => self.set_brokers(Brokers::Suspect(fault)),
            Brokers::Down(known) if known.code == fault.code => self.set_brokers(Brokers::Down(fault)),
            _ => {}
        }
    }

    fn connection(&self, said: Said, reason: &str) {
        match said {
            Said::Other => {}
            Said::Trouble => drop(self.note_trouble(reason)),
            Said::Perhaps(expectation, fault) => {
                if self.note_trouble(reason)
                    && let Some(address) = connection::address(reason)
                {
                    let address = address.to_owned();
                    *of(&self.doubt) = Some(Doubt {
                        address,
                        expectation,
                        fault,
                    });
                }
            }
            Said::AllDown => self.brokers_lost(policy::unreachable(self.trouble().as_deref())),
            Said::Refused(fault) => match connection::refused_certificate(reason) {
                None => self.refused(fault),
                Some(address) => {
                    *of(&self.refused_certificate) = Some(address.to_owned());
                    // What is known already may be the better account of it.
                    match self.brokers() {
                        Brokers::Suspect(known) | Brokers::Down(known) if known.code == fault.code => {
                            self.refused(known);
                        }
                        _ => self.refused(fault),
                    }
                }
            },
        }
    }

    /// Whether the same has happened before. The client library hands over each error twice, to the letter.
    fn note_trouble(&self, reason: &str) -> bool {
        let before = of(&self.trouble).replace(reason.to_owned());
        before.is_some_and(|before| before != reason && connection::brief(&before) == connection::brief(reason))
    }

    /// A broker and the relay have refused each other.
    pub(super) fn refused(&self, fault: Fault) {
        // Without a token every login fails.
        let no_token = of(&self.no_token).clone();
        let is_only_a_warning = no_token.is_some() && self.are_brokers_up();
        let fault = no_token.unwrap_or(fault);
        if !is_only_a_warning {
            *of(&self.refusal) = Some(fault.clone());
        }
        self.brokers_lost(fault);
    }

    /// While the brokers still take the token before, this is only a warning.
    fn token_failed(&self, why: &str) {
        let fault = policy::no_token(why);
        let before = of(&self.no_token).replace(fault.clone());
        if before.is_none() && self.are_brokers_up() {
            tracing::warn!(code = fault.code.name(), next = %fault.hint, "{}", fault.message);
        }
    }

    fn token_taken(&self) {
        if of(&self.no_token).take().is_some() {
            tracing::info!("there is a token to log in to Kafka with again");
        }
    }

    fn set_brokers(&self, brokers: Brokers) {
        self.are_brokers_up.store(brokers == Brokers::Up, Ordering::Release);
        *of(&self.brokers) = brokers;
    }

    /// The brokers have a record.
    pub(crate) fn acknowledged(&self, ticket: Ticket) {
        let at = clock::now();
        if !self.are_brokers_up() {
            self.brokers_answered();
        }
        self.lock().acknowledged.push((ticket, at));
    }

    /// A record comes back.
    pub(crate) fn failed(&self, failed: Failed) {
        self.lock().failed.push(failed);
    }

    /// The producer has said that something is wrong with it.
    pub(crate) fn erred(&self) {
        self.lock().has_erred = true;
    }

    pub(crate) fn counted(&self, topic: TopicName, partitions: usize) {
        self.lock().counted.push((topic, partitions));
    }

    /// The reports that wait, without times, for the simulation that visits every state.
    #[cfg(test)]
    pub(super) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        let taken = self.lock();
        // They are all taken at once: in which order they came makes no difference.
        let mut acknowledged: Vec<Ticket> = taken.acknowledged.iter().map(|(ticket, _)| *ticket).collect();
        acknowledged.sort_unstable();
        (acknowledged, &taken.counted).hash(hasher);
        (taken.failed.len(), taken.has_erred).hash(hasher);
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken {
    /// Nothing has come that lets anything go on.
    pub(super) const fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.failed.is_empty() && self.counted.is_empty()
    }
}

/// librdkafka's callbacks.
#[derive(Debug, Clone)]
pub(super) struct Callbacks {
    pub(super) reports: Arc<Reports>,
    pub(super) tokens: Option<Arc<Tokens>>,
    /// What the producer was told to speak.
    pub(super) protocol: String,
}

impl ClientContext for Callbacks {
    /// Asked only by a producer that logs in with tokens.
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.reports.hear();
        // librdkafka repeats itself with every attempt. What matters of it becomes a change of state.
        tracing::debug!(target: LOG_TARGET, ?level, facility, "{message}");
        if let Some(reason) = connection::logged(level, facility, message) {
            self.said(Some(RDKafkaErrorCode::BrokerTransportFailure), &reason);
        }
    }

    /// Nobody reads them.
    fn stats_raw(&self, _: &[u8]) {
        self.reports.hear();
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.hear();
        // The event carries the reason of a fatal error, not that it is fatal: whoever takes this asks the producer.
        self.reports.erred();
        self.said(error.rdkafka_error_code(), reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.reports.hear();
        let tokens = self.tokens.as_ref().ok_or("no source of tokens is configured")?;
        let taken = tokens.take();
        match &taken {
            Ok(_) => self.reports.token_taken(),
            Err(why) => self.reports.token_failed(why),
        }
        // librdkafka makes a text of it that ends at the first zero.
        Ok(taken.map_err(|why| why.replace('\0', " "))?)
    }
}

impl Callbacks {
    /// Of a client with this configuration.
    pub(super) fn of(kafka: &KafkaSettings, config: &ClientConfig, reports: Arc<Reports>) -> Self {
        Self {
            reports,
            tokens: kafka.token_source.clone().map(|source| Arc::new(Tokens::of(source))),
            protocol: config.get("security.protocol").unwrap_or_default().to_ascii_lowercase(),
        }
    }

    fn said(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        self.reports
            .connection(connection::said(code, reason, &self.protocol), reason);
    }
}

/// Its error does not tell: a record that waits to be sent once more has been sent before.
fn may_be_persisted(message: &BorrowedMessage<'_>) -> bool {
    #[allow(unsafe_code, reason = "the library does not show the status; its bindings do")]
    // SAFETY: the message is borrowed for as long as the call lasts, which only reads it.
    let status = unsafe { rd_kafka_message_status(message.ptr()) };
    !matches!(status, rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        self.reports.hear();
        let ticket = Ticket::from_u64(ticket as u64);
        match result {
            Ok(_) => self.reports.acknowledged(ticket),
            Err((error, message)) => {
                self.reports.failed(Failed {
                    ticket,
                    code: error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
                    may_be_persisted: may_be_persisted(message),
                    record: message.detach(),
                    kept: None,
                });
            }
        }
    }
}

//! What librdkafka reports on the poll thread, for the thread that decides.
//!
//! The queue needs no bound of its own: it holds at most one report for each record in flight.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use outbox_decoder::Timestamp;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message};
use tokio::sync::Notify;

use crate::clock;
use crate::fault::Fault;
use crate::kafka::policy;
use crate::pipeline::Ticket;

/// A record that was not delivered, with all that is needed to send it again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) ticket: Ticket,
    pub(super) code: RDKafkaErrorCode,
    pub(super) record: OwnedMessage,
}

/// Reports since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) acknowledged: Vec<(Ticket, Timestamp)>,
    pub(super) failed: Vec<Failed>,
}

/// What is known of the brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brokers {
    Unknown,
    Up,
    Down(Fault),
}

/// 0 means that nothing is known yet.
const UP: u8 = 1;
const DOWN: u8 = 2;

/// Shared by the poll thread, where callbacks run, and the loop, which takes what they left.
#[derive(Debug, Default)]
pub(super) struct Reports {
    taken: Mutex<Taken>,
    brokers: AtomicU8,
    broker_fault: Mutex<Option<Fault>>,
    notify: Notify,
}

impl Reports {
    /// Swaps what has come for an emptied container, so that neither side allocates anew.
    pub(super) fn take(&self, container: &mut Taken) {
        container.acknowledged.clear();
        container.failed.clear();
        std::mem::swap(&mut *self.lock(), container);
    }

    /// Waits until there may be something to take.
    pub(super) async fn arrived(&self) {
        self.notify.notified().await;
    }

    pub(super) fn brokers(&self) -> Brokers {
        match self.brokers.load(Ordering::Acquire) {
            UP => Brokers::Up,
            DOWN => {
                let fault = self.broker_fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
                fault.map_or(Brokers::Up, Brokers::Down)
            }
            _ => Brokers::Unknown,
        }
    }

    pub(super) fn are_brokers_up(&self) -> bool {
        self.brokers.load(Ordering::Acquire) == UP
    }

    pub(super) fn brokers_answered(&self) {
        if self.brokers.swap(UP, Ordering::AcqRel) != UP {
            self.notify.notify_one();
        }
    }

    fn brokers_failed(&self, fault: Fault) {
        *self.broker_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        if self.brokers.swap(DOWN, Ordering::AcqRel) != DOWN {
            self.notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, push: impl FnOnce(&mut Taken)) {
        let was_empty = {
            let mut taken = self.lock();
            let was_empty = taken.acknowledged.is_empty() && taken.failed.is_empty();
            push(&mut taken);
            was_empty
        };
        if was_empty {
            self.notify.notify_one();
        }
    }
}

/// librdkafka's callbacks.
#[derive(Debug, Clone)]
pub(super) struct Callbacks(pub(super) Arc<Reports>);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // librdkafka repeats itself with every attempt. What matters of it becomes a change of state.
        tracing::debug!(target: "outbox_relay::librdkafka", ?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(fault) = policy::broker_fault(error.rdkafka_error_code(), reason) {
            self.0.brokers_failed(fault);
        }
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let ticket = Ticket::from_u64(ticket as u64);
        match result {
            Ok(_) => {
                let at = clock::now();
                self.0.brokers.store(UP, Ordering::Release);
                self.0.push(|taken| taken.acknowledged.push((ticket, at)));
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                let record = message.detach();
                debug_assert_eq!(record.topic(), message.topic());
                self.0.push(|taken| taken.failed.push(Failed { ticket, code, record }));
            }
        }
    }
}

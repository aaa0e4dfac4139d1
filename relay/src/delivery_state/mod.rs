//! What became of each event, kept in the database for those who must have it there. Off by default: it costs a write for
//! each event.
//!
//! ```text
//!   line ── note ──► a bounded queue ──► the writer, on a thread and a connection of its own ──► outbox_relay.delivery_state
//!     ▲                                                        │
//!     └── confirms no commit of which something is unwritten ◄─┘
//! ```
//!
//! The line holds back its confirmation until the notes of a commit are written, so that a relay that is killed comes to them
//! again: an event that is published and confirmed is never told as pending. While the queue is full the line takes nothing
//! more from the slot, as while it waits for Kafka.

mod ids;
mod queue;
mod statement;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use outbox_decoder::{Lsn, Timestamp};

use crate::config::{OutboxSettings, Settings};
use crate::telemetry::Metrics;

pub use ids::{EventId, EventIds};
use queue::{Entry, Queue};
use writer::Writer;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Kafka has acknowledged it.
    Published,
    /// It was refused, and is tried again.
    Failed,
    /// It is a dead letter.
    SetAside,
}

impl DeliveryStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Failed => "failed",
            Self::SetAside => "set_aside",
        }
    }
}

/// What is to be written of one event.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryNote<'n> {
    /// Which of the decoder's tables the row is from.
    pub outbox: u16,
    /// The idempotency key.
    pub id: &'n [u8],
    /// The commit of its row.
    pub commit_lsn: Lsn,
    /// What became of it.
    pub status: DeliveryStatus,
    /// When.
    pub at: Timestamp,
    /// Attempts after the first one.
    pub retry_count: u32,
    /// Why it failed, by the code of the fault.
    pub error_code: Option<&'static str>,
}

/// The delivery states of the outboxes that keep them. Clones share one queue.
#[derive(Debug, Clone)]
pub struct DeliveryStates {
    queue: Arc<Queue>,
    /// By the decoder's number: whether it is kept.
    is_kept: Arc<[bool]>,
}

impl DeliveryStates {
    /// Starts the writer; `None` where no outbox keeps its state.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(settings: &Arc<Settings>, metrics: &Arc<Metrics>) -> std::io::Result<Option<Self>> {
        let is_kept = is_kept(&settings.outbox);
        if !is_kept.contains(&true) {
            return Ok(None);
        }
        let queue = Arc::<Queue>::default();
        Writer::start(Arc::clone(settings), Arc::clone(metrics), Arc::clone(&queue))?;
        Ok(Some(Self { queue, is_kept }))
    }

    /// Whether the events of an outbox are to be noted.
    pub fn keeps(&self, outbox: u16) -> bool {
        self.is_kept.get(usize::from(outbox)).copied().unwrap_or(false)
    }

    /// Whether the line may take more from the slot.
    pub fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// Notes what became of an event. Never waits: [`DeliveryStates::has_room`] is asked before the event is taken.
    pub fn note(&self, note: &DeliveryNote<'_>) {
        if self.keeps(note.outbox) {
            self.queue.push(Entry::of(note));
        }
    }

    /// Whether everything of the commits below `lsn` is written, so that it may be confirmed.
    pub fn are_written_below(&self, lsn: Lsn) -> bool {
        self.queue.oldest().is_none_or(|commit_lsn| commit_lsn >= lsn)
    }
}

/// The decoder numbers its tables as the configuration sorts them.
fn is_kept(outboxes: &BTreeMap<String, OutboxSettings>) -> Arc<[bool]> {
    outboxes.values().map(|outbox| outbox.delivery_state).collect()
}

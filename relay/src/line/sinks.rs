//! Where a row goes: to the producer, or to the dead letters.

use outbox_decoder::{Envelope, Timestamp};

use crate::clock;
use crate::dead_letter::{Desk, Letter};
use crate::fault::Fault;
use crate::kafka::{Delivery, Producers};
use crate::pipeline::{Aside, SendError, Sink, Ticket};
use crate::telemetry::Metrics;

/// Both of them.
pub(crate) struct Sinks<'s, P: Producers> {
    pub(crate) delivery: &'s mut Delivery<P>,
    pub(crate) desk: &'s mut Desk,
    /// The table of dead letters cannot be reached: a row that waits for its letter halts those behind it.
    pub(crate) is_table_failing: bool,
    pub(crate) metrics: &'s Metrics,
}

impl<P: Producers> Sink for Sinks<'_, P> {
    type Refusal = Fault;

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<Fault>> {
        if self.is_table_failing && self.desk.is_writing() {
            return Err(SendError::Full);
        }
        self.delivery.send(ticket, envelope)
    }

    fn set_aside(&mut self, ticket: Ticket, aside: Aside<'_, Fault>) -> Result<(), SendError<Fault>> {
        if self.is_table_failing && self.desk.is_writing() {
            return Err(SendError::Full);
        }
        let letter = Letter::of(aside, clock::now());
        self.metrics.show_set_aside(letter.failure.error_type);
        self.desk.put(ticket, letter);
        Ok(())
    }

    fn completed(&mut self, committed_at: Timestamp) {
        self.delivery.completed(committed_at);
    }
}

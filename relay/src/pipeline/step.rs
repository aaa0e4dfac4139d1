//! The words of one step: what it is given, how far it goes, why it ends.

use outbox_decoder::stream::Frame;
use outbox_decoder::{DecodeError, Envelope, MappingError, Position, Timestamp};

use super::Ticket;

/// Where envelopes go.
pub trait Sink {
    /// Why a record can never be sent as it is.
    type Refusal;

    /// Takes the envelope over, under this ticket.
    ///
    /// # Errors
    /// Nothing was taken over; the same envelope is offered again.
    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<Self::Refusal>>;

    /// Hears of a transaction whose end came after the acknowledgements of all its records.
    fn completed(&mut self, committed_at: Timestamp);
}

/// Why a sink did not take an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError<R> {
    /// Not now.
    Full,
    /// Not this one.
    Refused(R),
}

/// How far a step goes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end of the buffer.
    Exhausted,
    /// To where a stop repeats nothing: the end of the open transaction, and of those that the server sends once more
    /// after a lost connection.
    CommitBoundary,
}

/// What a step did.
#[derive(Debug, PartialEq, Eq)]
pub struct Fed<'b, R> {
    /// Bytes of the buffer that are dealt with.
    pub consumed: usize,
    /// Why it ended.
    pub stop: Stop<'b, R>,
    /// The server wants a status update at once.
    pub reply_requested: bool,
}

/// Why a step ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop<'b, R> {
    /// The rest of the buffer is no whole frame.
    Starved,
    /// The budget or the sink is full; the same frame is next.
    Full,
    /// [`Until::CommitBoundary`] is reached.
    CommitBoundary,
    /// A frame that is not the stream's: an error, a notice, the end. It counts as consumed.
    Control(Frame<'b>),
    /// A row that cannot be published; the same frame is next.
    Defect(Defect<R>),
    /// The connection must be given up.
    Broken(DecodeError),
}

/// A row that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect<R> {
    /// Where it stands.
    pub position: Position,
    /// What is wrong.
    pub cause: DefectCause<R>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefectCause<R> {
    /// It does not fit its table's mapping.
    Mapping(MappingError),
    /// The sink refused its record.
    Refused(R),
}

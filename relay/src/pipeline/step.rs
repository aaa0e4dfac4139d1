//! The words of one step: what it is given, how far it goes, why it ends.

use outbox_decoder::outbox::Remains;
use outbox_decoder::stream::Frame;
use outbox_decoder::{DecodeError, Envelope, MappingError, Position, Timestamp};

use super::{Ticket, TopicKey};

/// Where envelopes go.
pub trait Sink {
    /// Why a record can never be sent as it is.
    type Refusal;

    /// Takes the envelope over, under this ticket.
    ///
    /// # Errors
    /// Nothing was taken over; the same envelope is offered again.
    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<Self::Refusal>>;

    /// Takes a row over that goes to the dead letters, under this ticket. It is there to stay once its letter has committed.
    ///
    /// # Errors
    /// Nothing was taken over; the same row is offered again.
    fn set_aside(&mut self, ticket: Ticket, aside: Aside<'_, Self::Refusal>) -> Result<(), SendError<Self::Refusal>>;

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

/// A row that goes to the dead letters.
#[derive(Debug)]
pub struct Aside<'a, R> {
    /// What it is.
    pub row: Row<'a>,
    /// Why it goes there.
    pub why: Why<R>,
    /// The key whose later rows have to wait behind it.
    pub parks: Option<TopicKey>,
}

/// A row, as far as it could be read.
#[derive(Debug)]
pub enum Row<'a> {
    /// All of it.
    Whole(&'a Envelope<'a>),
    /// Some of it.
    Remains(&'a Remains<'a>),
}

/// Why a row goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why<R> {
    /// It cannot be published.
    Defect(DefectCause<R>),
    /// Somebody has named it.
    Skipped,
    /// An earlier one of its key is there.
    KeyParked,
    /// Its route is paused.
    RoutePaused,
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
    /// A row that should be set aside, and there is no room for more of them; the same frame is next.
    LettersFull,
    /// The connection must be given up.
    Broken(DecodeError),
}

/// A row that cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect<R> {
    /// Where it stands.
    pub position: Position,
    /// Its idempotency key, as far as that could be read.
    pub id: Option<String>,
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

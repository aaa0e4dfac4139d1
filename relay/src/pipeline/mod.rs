//! Decides, for every frame from the server, what happens: produce, wait, halt; and what may be confirmed.
//!
//! No socket, no clock, no thread. A step takes bytes and a sink and says how far it came; the ledger keeps what is
//! under way; [`Parking`] says which rows go to the dead letters; [`Pipeline::progress`] is what the server is told.
//!
//! The confirmed LSN follows one rule (see ARCHITECTURE.md, "What is confirmed"):
//! with nothing unacknowledged and no transaction open, the larger of the last commit's end and the last keepalive's
//! position, both received on this connection; otherwise the end of the newest commit such that it and all before it
//! are acknowledged. Never lower than before, never above what this connection received.

mod aside;
mod lane;
mod ledger;
mod passage;
mod step;
#[cfg(test)]
mod tests;

pub use aside::{Controls, DefectPolicy, LetterLimits, Parking, Place, Standing, TopicKey};
pub use ledger::{Kept, Ledger, Limits, Ticket};
pub use step::{Aside, Defect, DefectCause, Fed, Row, SendError, Sink, Stop, Until, Why};

use outbox_decoder::outbox::{OutboxDecoder, RowError};
use outbox_decoder::pgoutput::{Message, Tuple};
use outbox_decoder::stream::{COPY_DATA, StreamMessage, split_frame};
use outbox_decoder::{CommitPosition, DecodeError, Lsn, Position, Timestamp};

use self::lane::{Halt, Lane};

/// What librdkafka keeps for a record beyond key and value (measured).
pub const RECORD_OVERHEAD_BYTES: usize = 270;
/// What it keeps for a header (measured).
pub const HEADER_OVERHEAD_BYTES: usize = 70;

/// Counts since the pipeline was made; they only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows taken from the slot and handed to the sink.
    pub received: u64,
    /// Rows that the server sent again after a reconnect and that were not produced again.
    pub recognised: u64,
    /// Rows that the server sent again and that had a dead letter from before.
    pub had_letter: u64,
    /// Rows handed to the dead letters.
    pub set_aside: u64,
}

#[derive(Debug)]
struct Transaction {
    commit_lsn: Lsn,
    committed_at: Timestamp,
    xid: u32,
    next_ordinal: u32,
}

/// The pure middle of the relay.
#[derive(Debug)]
pub struct Pipeline {
    decoder: OutboxDecoder,
    ledger: Ledger,
    parking: Parking,
    frame_bytes_max: usize,
    transaction: Option<Transaction>,
    received: Lsn,
    keepalive: Lsn,
    flushed: Lsn,
    newest_commit_received_at: Option<Timestamp>,
    newest_event_end: Lsn,
    counts: Counts,
}

/// How far a stream has come: what a status update carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The highest position received on this connection.
    pub received: Lsn,
    /// Everything up to here is in Kafka.
    pub flushed: Lsn,
}

impl Pipeline {
    /// A pipeline that has taken nothing yet. `frame_bytes_max` bounds one row.
    pub fn new(decoder: OutboxDecoder, limits: Limits, parking: Parking, frame_bytes_max: usize) -> Self {
        Self {
            decoder,
            ledger: Ledger::new(limits),
            parking,
            frame_bytes_max,
            transaction: None,
            received: Lsn::ZERO,
            keepalive: Lsn::ZERO,
            flushed: Lsn::ZERO,
            newest_commit_received_at: None,
            newest_event_end: Lsn::ZERO,
            counts: Counts::default(),
        }
    }

    /// Another connection to the same server: it starts at the slot's confirmed position and describes its tables
    /// anew. What is in flight stays in flight, and rows that come again are recognised.
    pub fn begin_connection(&mut self) {
        self.decoder.forget_relations();
        self.transaction = None;
        self.received = Lsn::ZERO;
        self.keepalive = Lsn::ZERO;
        self.flushed = Lsn::ZERO;
    }

    /// Deals with the whole frames at the front of a buffer.
    pub fn feed<'b, S: Sink>(&mut self, buffer: &'b [u8], until: Until, sink: &mut S) -> Fed<'b, S::Refusal> {
        let mut consumed = 0;
        let mut reply_requested = false;
        let stop = loop {
            if until == Until::CommitBoundary && self.may_stop_here() {
                break Stop::CommitBoundary;
            }
            let frame = match split_frame(&buffer[consumed..], self.frame_bytes_max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break Stop::Starved,
                Err(error) => break Stop::Broken(error),
            };
            if frame.tag != COPY_DATA {
                consumed += frame.bytes;
                break Stop::Control(frame);
            }
            match self.copy_data(frame.body, sink) {
                Ok(asked) => reply_requested |= asked,
                Err(halt) => break halt.into_stop(),
            }
            consumed += frame.bytes;
        };
        Fed {
            consumed,
            stop,
            reply_requested,
        }
    }

    /// Returns whether the server asked for a reply.
    fn copy_data<S: Sink>(&mut self, body: &[u8], sink: &mut S) -> Result<bool, Halt<S::Refusal>> {
        match StreamMessage::parse(body)? {
            StreamMessage::XLogData(message) => self.message(message, sink).map(|()| false),
            StreamMessage::Keepalive {
                wal_end,
                reply_requested,
                ..
            } => {
                if self.keepalive == Lsn::ZERO && self.transaction.is_none() {
                    // The first keepalive of a connection is the slot's confirmed position.
                    self.ledger.pass(wal_end);
                }
                self.keepalive = self.keepalive.max(wal_end);
                self.receive(wal_end);
                Ok(reply_requested)
            }
        }
    }

    fn receive(&mut self, position: Lsn) {
        self.received = self.received.max(position);
        self.ledger.reach(self.received);
    }

    fn message<S: Sink>(&mut self, message: &[u8], sink: &mut S) -> Result<(), Halt<S::Refusal>> {
        match Message::parse(message)? {
            Message::Insert { oid, tuple } => self.insert(oid, tuple, sink),
            Message::Begin {
                commit_lsn,
                committed_at,
                xid,
            } => Ok(self.begin(commit_lsn, committed_at, xid)?),
            Message::Commit { position, .. } => Ok(self.commit(position, sink)?),
            Message::Relation(relation) => Ok(self.decoder.describe(&relation)?),
            Message::Type { oid, schema, name } => {
                self.decoder.describe_type(oid, schema, name);
                Ok(())
            }
            // An outbox has inserts only. Whatever else a wider publication sends is none of its events.
            Message::Update { .. }
            | Message::Delete { .. }
            | Message::Truncate { .. }
            | Message::Origin { .. }
            | Message::Logical { .. } => Ok(()),
        }
    }

    fn begin(&mut self, commit_lsn: Lsn, committed_at: Timestamp, xid: u32) -> Result<(), DecodeError> {
        if self.transaction.is_some() {
            return Err(DecodeError::OutOfPlace {
                message: "Begin",
                place: "inside a transaction",
            });
        }
        self.ledger.pass(commit_lsn);
        self.parking.pass(commit_lsn);
        self.transaction = Some(Transaction {
            commit_lsn,
            committed_at,
            xid,
            next_ordinal: 0,
        });
        Ok(())
    }

    fn insert<S: Sink>(&mut self, oid: u32, tuple: Tuple<'_>, sink: &mut S) -> Result<(), Halt<S::Refusal>> {
        let Some(transaction) = &mut self.transaction else {
            return Err(DecodeError::OutOfPlace {
                message: "Insert",
                place: "outside a transaction",
            }
            .into());
        };
        let Transaction {
            commit_lsn,
            committed_at,
            xid,
            next_ordinal,
        } = *transaction;
        let position = Position {
            commit_lsn,
            ordinal: next_ordinal,
            xid,
        };
        if self.ledger.has_taken(position) {
            self.counts.recognised += 1;
        } else if let Some(until) = self.parking.letter_of(position) {
            if !self.ledger.has_room(0) {
                return Err(Halt::Full);
            }
            let ticket = self.ledger.take(position, committed_at, Kept::default(), 0);
            self.ledger.set_aside(ticket);
            self.ledger.written(ticket, until);
            self.counts.had_letter += 1;
        } else {
            let mut lane = Lane {
                ledger: &mut self.ledger,
                parking: &mut self.parking,
                counts: &mut self.counts,
                sink,
            };
            match self.decoder.envelope(oid, tuple, position, committed_at) {
                Ok(envelope) => lane.publish(&envelope)?,
                Err(RowError::Decode(error)) => return Err(error.into()),
                Err(RowError::Mapping(error)) => {
                    let remains = self.decoder.remains(oid, tuple, position, committed_at);
                    lane.keep(position, remains.as_ref(), error)?;
                }
            }
            self.counts.received += 1;
        }
        transaction.next_ordinal = next_ordinal.checked_add(1).ok_or(DecodeError::OutOfPlace {
            message: "Insert",
            place: "as row 4294967296 of a transaction",
        })?;
        Ok(())
    }

    fn commit<S: Sink>(&mut self, position: CommitPosition, sink: &mut S) -> Result<(), DecodeError> {
        let Some(transaction) = self.transaction.take() else {
            return Err(DecodeError::OutOfPlace {
                message: "Commit",
                place: "outside a transaction",
            });
        };
        if transaction.commit_lsn != position.commit_lsn() {
            return Err(DecodeError::OutOfPlace {
                message: "Commit",
                place: "inside another transaction",
            });
        }
        if let Some(committed_at) = self.ledger.commit(position) {
            sink.completed(committed_at);
        }
        self.receive(position.end_lsn());
        if transaction.next_ordinal > 0 {
            self.newest_commit_received_at = Some(transaction.committed_at);
            self.newest_event_end = self.newest_event_end.max(position.end_lsn());
        }
        Ok(())
    }

    /// The brokers have acknowledged a record. Returns when its transaction committed if that one is complete now.
    pub fn acknowledge(&mut self, ticket: Ticket) -> Option<Timestamp> {
        self.ledger.acknowledge(ticket)
    }

    /// The brokers have acknowledged a record, which counts when its delivery is noted.
    pub fn await_note(&mut self, ticket: Ticket) {
        self.ledger.await_note(ticket);
    }

    /// The delivery of a record is noted. Returns as [`Pipeline::acknowledge`] does.
    pub fn noted(&mut self, ticket: Ticket) -> Option<Timestamp> {
        self.ledger.noted(ticket)
    }

    /// The dead letter of a row is committed, before `letters_end`. Returns as [`Pipeline::acknowledge`] does.
    pub fn written(&mut self, ticket: Ticket, parks: Option<&TopicKey>, letters_end: Lsn) -> Option<Timestamp> {
        self.parking.written(parks);
        self.ledger.written(ticket, letters_end)
    }

    /// A record that was on its way goes to the dead letters after all, unless it came from there.
    pub fn give_up(&mut self, ticket: Ticket, parks: Option<TopicKey>, position: Position) {
        self.parking.set_aside(parks, position);
        self.ledger.set_aside(ticket);
        self.counts.set_aside += 1;
    }

    /// A record that was published from its dead letter goes back there.
    pub fn return_letter(&mut self, ticket: Ticket) {
        self.ledger.withdraw_letter(ticket);
    }

    /// Enters a record that is published from its dead letter.
    pub fn take_letter(&mut self, kept: Kept, bytes: usize) -> Ticket {
        self.ledger.take_letter(kept, bytes)
    }

    /// Records that were published from their dead letters and are acknowledged, since this was last asked.
    pub fn take_published_letters(&mut self) -> Vec<Ticket> {
        self.ledger.take_published_letters()
    }

    /// What a status update says now.
    pub fn progress(&mut self) -> Progress {
        let acknowledged = self.ledger.acknowledged_end();
        let candidate = if self.is_idle() {
            acknowledged.max(self.keepalive)
        } else {
            acknowledged
        };
        self.flushed = self.flushed.max(candidate.min(self.received));
        Progress {
            received: self.received,
            flushed: self.flushed,
        }
    }

    /// Nothing is unacknowledged and the stream stands between two transactions.
    pub fn is_idle(&self) -> bool {
        self.ledger.is_idle() && self.transaction.is_none()
    }

    /// Between two transactions, and past whatever was taken on an earlier connection, or waits for the stream: before that
    /// it could not be confirmed on this one, and a stop would repeat it.
    pub fn may_stop_here(&self) -> bool {
        self.transaction.is_none()
            && self.ledger.newest_taken().is_none_or(|taken| self.received > taken)
            && !self.ledger.waits_for_stream()
    }

    /// The highest position that the server has surely had: of what was taken, acknowledged or received.
    pub fn newest_position(&self) -> Lsn {
        let taken = self.ledger.newest_taken().unwrap_or(Lsn::ZERO);
        self.received.max(self.ledger.acknowledged_end()).max(taken)
    }

    /// What is under way.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Which rows go to the dead letters.
    pub const fn parking(&self) -> &Parking {
        &self.parking
    }

    /// To be told what the table of dead letters holds, and what somebody has asked for.
    pub const fn parking_mut(&mut self) -> &mut Parking {
        &mut self.parking
    }

    /// Counts since the pipeline was made.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// End of the newest transaction with events that was received whole; 0/0 before the first.
    pub const fn newest_event_end(&self) -> Lsn {
        self.newest_event_end
    }

    /// When the newest transaction that was received whole committed.
    pub const fn newest_commit_received_at(&self) -> Option<Timestamp> {
        self.newest_commit_received_at
    }

    /// What decides how it goes on with this connection, for the simulation that visits every state. The rest is the
    /// ledger's.
    #[cfg(test)]
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        let transaction = self.transaction.as_ref();
        let transaction = transaction.map(|transaction| (transaction.commit_lsn, transaction.next_ordinal));
        (transaction, self.received, self.keepalive, self.flushed).hash(hasher);
    }
}

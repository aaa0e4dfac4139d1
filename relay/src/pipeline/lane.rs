//! The way of one row: to the producer, to the dead letters, or not yet.

use outbox_decoder::outbox::Remains;
use outbox_decoder::{DecodeError, Envelope, MappingError, Position, Text};

use super::aside::{Parking, TopicKey};
use super::ledger::{Kept, Ledger};
use super::step::{Aside, Defect, DefectCause, Row, SendError, Sink, Stop, Why};
use super::{Counts, HEADER_OVERHEAD_BYTES, RECORD_OVERHEAD_BYTES};

/// Where a row goes, and what is noted of it.
pub(super) struct Lane<'p, S> {
    pub(super) ledger: &'p mut Ledger,
    pub(super) parking: &'p mut Parking,
    pub(super) counts: &'p mut Counts,
    pub(super) sink: &'p mut S,
}

impl<S: Sink> Lane<'_, S> {
    /// A row that became an envelope.
    pub(super) fn publish(&mut self, envelope: &Envelope<'_>) -> Result<(), Halt<S::Refusal>> {
        let headers = envelope.header_count();
        let bytes = record_bytes(headers, envelope.key.as_ref(), envelope.payload.as_ref());
        if !self.ledger.has_room(bytes) {
            return Err(Halt::Full);
        }
        if let Some(why) = self.parking.verdict(envelope) {
            let parks_key = !matches!(why, Why::Skipped);
            return self.set_aside_whole(envelope, bytes, why, parks_key);
        }
        let refusal = match self.sink.send(self.ledger.next_ticket(), envelope) {
            Ok(()) => {
                let Envelope {
                    position, committed_at, ..
                } = *envelope;
                self.ledger.take(position, committed_at, kept(envelope), bytes);
                return Ok(());
            }
            Err(SendError::Full) => return Err(Halt::Full),
            Err(SendError::Refused(refusal)) => refusal,
        };
        let cause = DefectCause::Refused(refusal);
        let id = envelope.idempotency_key.as_bytes();
        match self.parking.of_defect(envelope.outbox, id) {
            Some(parks_key) => self.set_aside_whole(envelope, bytes, Why::Defect(cause), parks_key),
            None => Err(Halt::Defect(Defect {
                position: envelope.position,
                id: Some(String::from_utf8_lossy(id).into_owned()),
                cause,
            })),
        }
    }

    /// A row that became none; whatever can be read of it is kept, where its table is not to blame.
    pub(super) fn keep(
        &mut self,
        position: Position,
        remains: Option<&Remains<'_>>,
        error: MappingError,
    ) -> Result<(), Halt<S::Refusal>> {
        let of_row = remains.filter(|_| error.is_of_the_row());
        let decided = of_row.and_then(|remains| {
            let parks_key = self
                .parking
                .of_defect(remains.outbox, remains.idempotency_key.as_bytes())?;
            Some((remains, parks_key))
        });
        let cause = DefectCause::Mapping(error);
        let Some((remains, parks_key)) = decided else {
            let id = remains.map(|remains| String::from_utf8_lossy(remains.idempotency_key.as_bytes()).into_owned());
            return Err(Halt::Defect(Defect { position, id, cause }));
        };
        let bytes = record_bytes(5, remains.key.as_ref(), remains.payload.as_ref());
        if !self.ledger.has_room(bytes) {
            return Err(Halt::Full);
        }
        let topic = remains.topic.as_ref().map(outbox_decoder::TopicName::as_str);
        let aside = Aside {
            row: Row::Remains(remains),
            why: Why::Defect(cause),
            parks: topic_key(topic, remains.key.as_ref()).filter(|_| parks_key),
        };
        let kept = Kept {
            timestamp_ms: remains.timestamp_ms(),
            outbox: remains.outbox,
        };
        self.hand_over(aside, (remains.position, remains.committed_at), kept, bytes)
    }

    fn set_aside_whole(
        &mut self,
        envelope: &Envelope<'_>,
        bytes: usize,
        why: Why<S::Refusal>,
        parks_key: bool,
    ) -> Result<(), Halt<S::Refusal>> {
        let aside = Aside {
            row: Row::Whole(envelope),
            why,
            parks: topic_key(Some(envelope.topic.as_str()), envelope.key.as_ref()).filter(|_| parks_key),
        };
        let at = (envelope.position, envelope.committed_at);
        self.hand_over(aside, at, kept(envelope), bytes)
    }

    fn hand_over(
        &mut self,
        aside: Aside<'_, S::Refusal>,
        (position, committed_at): (Position, outbox_decoder::Timestamp),
        kept: Kept,
        bytes: usize,
    ) -> Result<(), Halt<S::Refusal>> {
        let parks = aside.parks.clone();
        let (topic, key) = parks
            .as_ref()
            .map(|(topic, key)| (topic.as_str(), key.as_slice()))
            .unzip();
        if !self.parking.has_room(topic, key) {
            return Err(Halt::LettersFull);
        }
        if let Err(SendError::Full | SendError::Refused(_)) = self.sink.set_aside(self.ledger.next_ticket(), aside) {
            return Err(Halt::Full);
        }
        let ticket = self.ledger.take(position, committed_at, kept, bytes);
        self.ledger.set_aside(ticket);
        self.parking.set_aside(parks, position);
        self.counts.set_aside += 1;
        Ok(())
    }
}

fn kept(envelope: &Envelope<'_>) -> Kept {
    Kept {
        timestamp_ms: envelope.timestamp_ms(),
        outbox: envelope.outbox,
    }
}

/// A row without a key never parks another.
fn topic_key(topic: Option<&str>, key: Option<&Text<'_>>) -> Option<TopicKey> {
    Some((topic?.to_owned(), key?.as_bytes().to_vec()))
}

/// What a record costs of the in-flight budget.
fn record_bytes(header_count: usize, key: Option<&Text<'_>>, payload: Option<&Text<'_>>) -> usize {
    let length = |text: Option<&Text<'_>>| text.map_or(0, |text| text.as_bytes().len());
    RECORD_OVERHEAD_BYTES + HEADER_OVERHEAD_BYTES * header_count + length(key) + length(payload)
}

/// Why a frame was not consumed.
pub(super) enum Halt<R> {
    Full,
    LettersFull,
    Defect(Defect<R>),
    Broken(DecodeError),
}

impl<R> Halt<R> {
    pub(super) fn into_stop<'b>(self) -> Stop<'b, R> {
        match self {
            Self::Full => Stop::Full,
            Self::LettersFull => Stop::LettersFull,
            Self::Defect(defect) => Stop::Defect(defect),
            Self::Broken(error) => Stop::Broken(error),
        }
    }
}

impl<R> From<DecodeError> for Halt<R> {
    fn from(error: DecodeError) -> Self {
        Self::Broken(error)
    }
}

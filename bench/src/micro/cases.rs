//! The parts that are measured, each as a pass that is repeated.

use std::convert::Infallible;
use std::hint::black_box;

use clap::ValueEnum;
use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::pgoutput::{Message, Tuple};
use outbox_decoder::stream::{StreamMessage, split_frame};
use outbox_decoder::{Envelope, Lsn, Position, Timestamp};
use outbox_relay::pipeline::{
    Aside, DefectPolicy, LetterLimits, Limits, Parking, Pipeline, SendError, Sink, Stop, Ticket, Until,
};

use super::flow::{self, Flow};
use super::rows::{self, FRAME_BYTES_MAX, ROWS, Transactions};

/// The relay's defaults.
pub(super) const LIMITS: Limits = Limits {
    in_flight_bytes_max: 16 * 1024 * 1024,
    in_flight_records_max: 100_000,
};
/// Part of keys of rows without an id; these have one.
const SYSTEM_IDENTIFIER: u64 = 7;
const SOUND: &str = "the stream is sound";

/// A part of the pure middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Case {
    Decode,
    Envelope,
    Headers,
    Ledger,
    DecodeAndMap,
}

impl Case {
    pub(super) const ALL: [Case; 5] = [
        Case::Decode,
        Case::Envelope,
        Case::Headers,
        Case::Ledger,
        Case::DecodeAndMap,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Case::Decode => "decode",
            Case::Envelope => "envelope",
            Case::Headers => "headers",
            Case::Ledger => "ledger",
            Case::DecodeAndMap => "decode_and_map",
        }
    }

    pub(super) const fn what(self) -> &'static str {
        match self {
            Case::Decode => "frames cut and messages read, every column of a row looked at",
            Case::Envelope => "a row's message made an envelope",
            Case::Headers => "an envelope's headers built",
            Case::Ledger => "a record entered, acknowledged out of order over 12 partitions, its commit confirmed",
            Case::DecodeAndMap => "the whole way from the read buffer to the producer, and the acknowledgement",
        }
    }

    /// Records that one pass deals with.
    pub(super) const fn records(self) -> u32 {
        match self {
            Case::Ledger => flow::RECORDS,
            _ => ROWS,
        }
    }

    /// Prepares the part and hands over one pass of it, to be called as often as needed.
    pub(super) fn with_pass(self, run: impl FnOnce(&mut dyn FnMut())) {
        match self {
            Case::Decode => {
                let transactions = Transactions::new();
                run(&mut || decode(black_box(transactions.bytes())));
            }
            Case::Envelope => with_envelopes(run),
            Case::Headers => with_headers(run),
            Case::Ledger => {
                let mut flow = Flow::new();
                run(&mut || flow.pass());
            }
            Case::DecodeAndMap => {
                let mut way = Way::new();
                run(&mut || way.pass());
            }
        }
    }
}

/// Calls `each` with the messages of a stream.
fn for_each_message<'b>(mut bytes: &'b [u8], mut each: impl FnMut(Message<'b>)) {
    while let Some(frame) = split_frame(bytes, FRAME_BYTES_MAX).expect(SOUND) {
        if let StreamMessage::XLogData(message) = StreamMessage::parse(frame.body).expect(SOUND) {
            each(Message::parse(message).expect(SOUND));
        }
        bytes = &bytes[frame.bytes..];
    }
}

fn decode(bytes: &[u8]) {
    for_each_message(bytes, |message| {
        if let Message::Insert { tuple, .. } = message {
            for column in tuple.columns() {
                black_box(column.expect(SOUND));
            }
        }
        black_box(message);
    });
}

fn decoder() -> OutboxDecoder {
    OutboxDecoder::new(vec![rows::table()], SYSTEM_IDENTIFIER)
}

/// A decoder that knows the table, and the rows' messages.
fn with_tuples(run: impl FnOnce(OutboxDecoder, &[(u32, Tuple<'_>)])) {
    let mut decoder = decoder();
    let (description, transactions) = (rows::description(), Transactions::new());
    for_each_message(&description, |message| {
        if let Message::Relation(relation) = message {
            decoder.describe(&relation).expect(SOUND);
        }
    });
    let mut tuples = Vec::new();
    for_each_message(transactions.bytes(), |message| {
        if let Message::Insert { oid, tuple } = message {
            tuples.push((oid, tuple));
        }
    });
    run(decoder, &tuples);
}

fn position(ordinal: u32) -> Position {
    Position {
        commit_lsn: Lsn::new(0x16_B374_D848),
        ordinal,
        xid: 5_000_000,
    }
}

fn with_envelopes(run: impl FnOnce(&mut dyn FnMut())) {
    let committed_at = Timestamp::from_postgres_us(0);
    with_tuples(|mut decoder, tuples| {
        run(&mut || {
            for (ordinal, &(oid, tuple)) in (0..).zip(tuples) {
                let envelope = decoder.envelope(oid, black_box(tuple), position(ordinal), committed_at);
                black_box(&envelope.expect(SOUND));
            }
        });
    });
}

fn with_headers(run: impl FnOnce(&mut dyn FnMut())) {
    with_tuples(|mut decoder, tuples| {
        let (oid, tuple) = tuples[0];
        let envelope = decoder.envelope(oid, tuple, position(0), Timestamp::from_postgres_us(0));
        let envelope = envelope.expect(SOUND);
        run(&mut || {
            for _ in 0..ROWS {
                look_at_headers(black_box(&envelope));
            }
        });
    });
}

fn look_at_headers(envelope: &Envelope<'_>) {
    envelope.for_each_header(|name, bytes| {
        black_box((name, bytes));
    });
}

/// Looks at everything that the producer would be given.
#[derive(Debug, Default)]
struct Taker {
    tickets: Vec<Ticket>,
}

impl Sink for Taker {
    type Refusal = Infallible;

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<Infallible>> {
        look_at_headers(envelope);
        black_box((
            envelope.topic,
            &envelope.key,
            &envelope.payload,
            envelope.timestamp_ms(),
        ));
        self.tickets.push(ticket);
        Ok(())
    }

    fn set_aside(&mut self, ticket: Ticket, _: Aside<'_, Self::Refusal>) -> Result<(), SendError<Self::Refusal>> {
        panic!("{ticket:?} is set aside, and nothing is wrong with any row");
    }

    fn completed(&mut self, committed_at: Timestamp) {
        black_box(committed_at);
    }
}

fn parking() -> Parking {
    let limits = LetterLimits {
        parked_keys_max: 1,
        letters_max: 1,
    };
    Parking::new(vec![DefectPolicy::Halt], limits)
}

/// The relay without sockets: as `line/stream.rs` moves it.
#[derive(Debug)]
struct Way {
    pipeline: Pipeline,
    transactions: Transactions,
    taker: Taker,
}

impl Way {
    fn new() -> Way {
        let mut way = Way {
            pipeline: Pipeline::new(decoder(), LIMITS, parking(), FRAME_BYTES_MAX),
            transactions: Transactions::new(),
            taker: Taker::default(),
        };
        let description = rows::description();
        let fed = way.pipeline.feed(&description, Until::Exhausted, &mut way.taker);
        assert_eq!(fed.stop, Stop::Starved);
        way
    }

    fn pass(&mut self) {
        let fed = self
            .pipeline
            .feed(self.transactions.bytes(), Until::Exhausted, &mut self.taker);
        assert_eq!(fed.stop, Stop::Starved);
        for ticket in self.taker.tickets.drain(..) {
            black_box(self.pipeline.acknowledge(ticket));
        }
        black_box(self.pipeline.progress());
        self.transactions.renew();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_every_pass_goes_the_whole_way() {
        let mut way = Way::new();
        for pass in 1..=3 {
            way.pass();
            assert_eq!(way.pipeline.counts().received, u64::from(ROWS) * pass);
            assert_eq!(way.pipeline.counts().recognised, 0);
            assert!(way.pipeline.is_idle());
        }
        assert_eq!(way.pipeline.progress().flushed, way.pipeline.progress().received);
    }

    #[test]
    fn every_case_can_be_repeated() {
        for case in Case::ALL {
            case.with_pass(|pass| {
                pass();
                pass();
            });
        }
    }
}

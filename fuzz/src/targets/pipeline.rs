//! Any bytes as a stream through the whole pure middle, with acknowledgements in between: nothing is confirmed that was
//! not received, nothing is taken back, and nothing in flight is confirmed.

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::stream::split_frame;
use outbox_decoder::{Envelope, Lsn, Timestamp};
use outbox_relay::pipeline::{
    Aside, DefectPolicy, LetterLimits, Limits, Parking, Pipeline, SendError, Sink, Stop, Ticket, TopicKey, Until,
};

use super::tables;

const FRAME_BYTES_MAX: usize = 1 << 16;
const LIMITS: Limits = Limits {
    in_flight_bytes_max: 64 << 10,
    in_flight_records_max: 8,
};

const LETTERS: LetterLimits = LetterLimits {
    parked_keys_max: 4,
    letters_max: 64,
};

/// What is in flight; every third record is acknowledged at once, the others newest first when the budget is full.
#[derive(Default)]
struct Producer {
    in_flight: Vec<InFlight>,
    /// What the server had said by the frame before.
    received: Lsn,
    sent: usize,
    /// What is set aside; written when the budget is full.
    letters: Vec<(Ticket, Option<TopicKey>)>,
}

/// A record, and where its transaction commits: what no confirmation may pass. Nothing of a transaction that a server sends
/// behind a position that it has said already, or says is confirmed on another connection: no server does.
struct InFlight {
    ticket: Ticket,
    commit_lsn: Option<Lsn>,
}

impl Sink for Producer {
    type Refusal = ();

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<()>> {
        if envelope.key.as_ref().is_some_and(|key| key.as_bytes().len() > 1024) {
            return Err(SendError::Refused(()));
        }
        self.sent += 1;
        let commit_lsn = envelope.position.commit_lsn;
        self.in_flight.push(InFlight {
            ticket,
            commit_lsn: (commit_lsn >= self.received).then_some(commit_lsn),
        });
        Ok(())
    }

    fn set_aside(&mut self, ticket: Ticket, aside: Aside<'_, ()>) -> Result<(), SendError<()>> {
        self.letters.push((ticket, aside.parks));
        Ok(())
    }

    fn completed(&mut self, _: Timestamp) {}
}

impl Producer {
    fn acknowledge(&mut self, pipeline: &mut Pipeline) {
        let letters_end = self.received;
        for (ticket, parks) in self.letters.drain(..) {
            pipeline.written(ticket, parks.as_ref(), letters_end);
        }
        while let Some(InFlight { ticket, .. }) = self.in_flight.pop() {
            pipeline.acknowledge(ticket);
        }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let decoder = OutboxDecoder::new(tables::outbox_tables(), tables::SYSTEM_IDENTIFIER);
    let parking = Parking::new(
        vec![DefectPolicy::SetAsideAndPark; tables::outbox_tables().len()],
        LETTERS,
    );
    let (mut pipeline, mut producer) = (
        Pipeline::new(decoder, LIMITS, parking, FRAME_BYTES_MAX),
        Producer::default(),
    );
    // The stream comes twice, as after a lost connection.
    for _ in 0..2 {
        pipeline.begin_connection();
        producer.received = Lsn::ZERO;
        producer
            .in_flight
            .iter_mut()
            .for_each(|record| record.commit_lsn = None);
        stream(&mut pipeline, &mut producer, bytes);
    }
    producer.acknowledge(&mut pipeline);
    assert_eq!(pipeline.ledger().in_flight_records(), 0);
    assert_eq!(pipeline.ledger().in_flight_bytes(), 0);
}

fn stream(pipeline: &mut Pipeline, producer: &mut Producer, mut rest: &[u8]) {
    let mut flushed = Lsn::ZERO;
    loop {
        // One frame at a time: whatever comes between two of them is looked at.
        let frame = match split_frame(rest, FRAME_BYTES_MAX) {
            Ok(Some(frame)) => &rest[..frame.bytes],
            Ok(None) | Err(_) => rest,
        };
        let fed = pipeline.feed(frame, Until::Exhausted, producer);
        rest = &rest[fed.consumed..];
        if producer.sent.is_multiple_of(3)
            && let Some(InFlight { ticket, .. }) = producer.in_flight.pop()
        {
            pipeline.acknowledge(ticket);
        }
        let progress = pipeline.progress();
        assert!(progress.flushed >= flushed && progress.flushed <= progress.received);
        // A commit is confirmed by its end, which lies behind its start.
        let mut commits = producer.in_flight.iter().filter_map(|record| record.commit_lsn);
        assert!(commits.all(|commit_lsn| progress.flushed <= commit_lsn));
        producer.received = progress.received;
        assert!(pipeline.ledger().in_flight_records() <= LIMITS.in_flight_records_max);
        flushed = progress.flushed;
        match fed.stop {
            Stop::Full => producer.acknowledge(pipeline),
            Stop::Control(_) => {}
            Stop::Starved if fed.consumed > 0 => {}
            Stop::Starved | Stop::CommitBoundary | Stop::LettersFull | Stop::Defect(_) | Stop::Broken(_) => return,
        }
    }
}

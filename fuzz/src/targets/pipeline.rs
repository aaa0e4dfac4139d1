//! Any bytes as a stream through the whole pure middle, with acknowledgements in between: nothing is confirmed that was
//! not received, nothing is taken back, and nothing in flight is confirmed.

use outbox_decoder::outbox::OutboxDecoder;
use outbox_decoder::{Envelope, Lsn, Timestamp};
use outbox_relay::pipeline::{Limits, Pipeline, SendError, Sink, Stop, Ticket, Until};

use super::tables;

const FRAME_BYTES_MAX: usize = 1 << 16;
const LIMITS: Limits = Limits {
    in_flight_bytes_max: 64 << 10,
    in_flight_records_max: 8,
};

/// What is in flight; every third record is acknowledged at once, the others newest first when the budget is full.
#[derive(Default)]
struct Producer {
    in_flight: Vec<(Ticket, Lsn)>,
    sent: usize,
}

impl Sink for Producer {
    type Refusal = ();

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<()>> {
        if envelope.key.as_ref().is_some_and(|key| key.as_bytes().len() > 1024) {
            return Err(SendError::Refused(()));
        }
        self.sent += 1;
        self.in_flight.push((ticket, envelope.position.commit_lsn));
        Ok(())
    }

    fn completed(&mut self, _: Timestamp) {}
}

impl Producer {
    fn acknowledge(&mut self, pipeline: &mut Pipeline) {
        while let Some((ticket, _)) = self.in_flight.pop() {
            pipeline.acknowledge(ticket);
        }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let decoder = OutboxDecoder::new(tables::outbox_tables(), tables::SYSTEM_IDENTIFIER);
    let (mut pipeline, mut producer) = (Pipeline::new(decoder, LIMITS, FRAME_BYTES_MAX), Producer::default());
    // The stream comes twice, as after a lost connection.
    for _ in 0..2 {
        pipeline.begin_connection();
        stream(&mut pipeline, &mut producer, bytes);
    }
    producer.acknowledge(&mut pipeline);
    assert_eq!(pipeline.ledger().in_flight_records(), 0);
    assert_eq!(pipeline.ledger().in_flight_bytes(), 0);
}

fn stream(pipeline: &mut Pipeline, producer: &mut Producer, mut rest: &[u8]) {
    let mut flushed = Lsn::ZERO;
    loop {
        let fed = pipeline.feed(rest, Until::Exhausted, producer);
        rest = &rest[fed.consumed..];
        if producer.sent.is_multiple_of(3)
            && let Some((ticket, _)) = producer.in_flight.pop()
        {
            pipeline.acknowledge(ticket);
        }
        let progress = pipeline.progress();
        assert!(progress.flushed >= flushed && progress.flushed <= progress.received);
        // A commit is confirmed by its end, which lies behind its start.
        assert!(
            producer
                .in_flight
                .iter()
                .all(|(_, commit_lsn)| progress.flushed <= *commit_lsn)
        );
        assert!(pipeline.ledger().in_flight_records() <= LIMITS.in_flight_records_max);
        flushed = progress.flushed;
        match fed.stop {
            Stop::Full => producer.acknowledge(pipeline),
            Stop::Control(_) => {}
            Stop::Starved | Stop::CommitBoundary | Stop::Defect(_) | Stop::Broken(_) => return,
        }
    }
}

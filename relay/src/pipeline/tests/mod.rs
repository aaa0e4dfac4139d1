//! Frames in, records and confirmations out: the rules of the slot, without a server.

mod confirmed;
mod letters;
mod properties;
mod stops;

use outbox_decoder::{Columns, Envelope, OutboxTable};

use super::*;

const TABLE_OID: u32 = 7;

/// A sink that keeps what it was given and can be full.
#[derive(Default)]
struct Taken {
    records: Vec<(Ticket, String)>,
    room: Option<usize>,
    completed: Vec<Timestamp>,
    letters: Vec<Set>,
}

/// A row that was set aside.
struct Set {
    ticket: Ticket,
    id: String,
    why: Why<()>,
    parks: Option<TopicKey>,
}

impl Sink for Taken {
    type Refusal = ();

    fn send(&mut self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), SendError<()>> {
        if self.room.is_some_and(|room| self.records.len() >= room) {
            return Err(SendError::Full);
        }
        let id = String::from_utf8_lossy(envelope.idempotency_key.as_bytes()).into_owned();
        if id == "refused" {
            return Err(SendError::Refused(()));
        }
        self.records.push((ticket, id));
        Ok(())
    }

    fn set_aside(&mut self, ticket: Ticket, aside: Aside<'_, ()>) -> Result<(), SendError<()>> {
        let Aside { row, why, parks } = aside;
        let id = match row {
            Row::Whole(envelope) => envelope.idempotency_key.as_bytes(),
            Row::Remains(remains) => remains.idempotency_key.as_bytes(),
        };
        let id = String::from_utf8_lossy(id).into_owned();
        self.letters.push(Set { ticket, id, why, parks });
        Ok(())
    }

    fn completed(&mut self, committed_at: Timestamp) {
        self.completed.push(committed_at);
    }
}

impl Taken {
    fn ids(&self) -> Vec<&str> {
        self.records.iter().map(|(_, id)| id.as_str()).collect()
    }
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![tag];
    frame.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    frame.extend(body);
    frame
}

fn xlog_data(message: &[u8]) -> Vec<u8> {
    let mut body = vec![b'w'];
    body.extend([0; 24]);
    body.extend(message);
    frame(b'd', &body)
}

fn keepalive(wal_end: u64, reply_requested: bool) -> Vec<u8> {
    let mut body = vec![b'k'];
    body.extend(wal_end.to_be_bytes());
    body.extend([0; 8]);
    body.push(u8::from(reply_requested));
    frame(b'd', &body)
}

fn begin(commit_lsn: u64) -> Vec<u8> {
    let mut message = vec![b'B'];
    message.extend(commit_lsn.to_be_bytes());
    message.extend(commit_lsn.to_be_bytes());
    message.extend(9_u32.to_be_bytes());
    xlog_data(&message)
}

fn commit(commit_lsn: u64, end_lsn: u64) -> Vec<u8> {
    let mut message = vec![b'C', 0];
    message.extend(commit_lsn.to_be_bytes());
    message.extend(end_lsn.to_be_bytes());
    message.extend([0; 8]);
    xlog_data(&message)
}

fn relation() -> Vec<u8> {
    let mut message = vec![b'R'];
    message.extend(TABLE_OID.to_be_bytes());
    message.extend(b"public\0outbox\0d\0\x03");
    for name in ["id", "aggregate_type", "payload"] {
        message.push(0);
        message.extend(name.as_bytes());
        message.extend([0, 0, 0, 0, 25, 255, 255, 255, 255]);
    }
    xlog_data(&message)
}

fn insert(id: &str) -> Vec<u8> {
    let mut message = vec![b'I'];
    message.extend(TABLE_OID.to_be_bytes());
    message.extend(b"N\0\x03");
    for value in [id, "Order", "{}"] {
        message.push(b't');
        message.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        message.extend(value.as_bytes());
    }
    xlog_data(&message)
}

fn transaction(commit_lsn: u64, end_lsn: u64, ids: &[&str]) -> Vec<u8> {
    let mut bytes = begin(commit_lsn);
    for id in ids {
        bytes.extend(insert(id));
    }
    bytes.extend(commit(commit_lsn, end_lsn));
    bytes
}

fn pipeline_with(limits: Limits) -> Pipeline {
    let columns = Columns {
        aggregate_id: None,
        ..Columns::standard()
    };
    pipeline_of(columns, limits, DefectPolicy::Halt)
}

fn pipeline_of(columns: Columns, limits: Limits, policy: DefectPolicy) -> Pipeline {
    let table = OutboxTable {
        schema: "public".to_owned(),
        table: "outbox".to_owned(),
        columns,
        topic: "outbox.event.{aggregate_type}".parse().unwrap(),
        metadata_headers: Vec::new(),
    };
    let limits_of_letters = LetterLimits {
        parked_keys_max: 2,
        letters_max: 5,
    };
    let parking = Parking::new(vec![policy], limits_of_letters);
    Pipeline::new(OutboxDecoder::new(vec![table], 1), limits, parking, 1 << 20)
}

fn pipeline() -> Pipeline {
    pipeline_with(Limits {
        in_flight_bytes_max: 1 << 20,
        in_flight_records_max: 1000,
    })
}

fn feed(pipeline: &mut Pipeline, sink: &mut Taken, frames: &[Vec<u8>]) {
    let buffer = frames.concat();
    let fed = pipeline.feed(&buffer, Until::Exhausted, sink);
    assert_eq!((fed.consumed, fed.stop), (buffer.len(), Stop::Starved));
}

fn flushed(pipeline: &mut Pipeline) -> u64 {
    pipeline.progress().flushed.as_u64()
}

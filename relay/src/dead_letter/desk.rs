//! What is to be asked of the table of dead letters, and what its answers mean. Pure: no connection, no clock.
//!
//! One thing is asked at a time. What is asked is asked until it is answered, so each of it can be done twice.

use std::collections::{HashMap, VecDeque};

use outbox_decoder::{Lsn, Timestamp, TopicName};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use super::letter::{Failure, GivenUp, Letter};
use crate::fault::Fault;
use crate::pipeline::{HEADER_OVERHEAD_BYTES, Kept, Pipeline, RECORD_OVERHEAD_BYTES, Ticket, TopicKey};

/// Letters that one transaction takes, and their bytes.
const WRITTEN_MAX: usize = 1_000;
const WRITTEN_BYTES_MAX: usize = 16 << 20;

/// What the table is asked.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// Keep these. Those that it has already stay as they are.
    Write(Vec<Letter>),
    /// What has become of letters that were published again.
    Settle {
        redriven: Vec<i64>,
        returned: Vec<Returned>,
    },
    /// The next letters that are marked to be published, in order.
    Fetch,
}

/// A letter that could not be published this time either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) letter_id: i64,
    pub(crate) failure: Failure,
}

/// What the table answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// They are committed, before this position.
    Written(Lsn),
    /// So many are resolved, and these keys have none left.
    Settled { resolved: usize, freed: Vec<TopicKey> },
    /// Nothing more is marked when there are none.
    Fetched(Vec<Marked>),
}

/// A letter that is marked to be published.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) letter_id: i64,
    /// Where its row committed.
    pub(crate) commit_lsn: Lsn,
    pub(crate) outbox: u16,
    pub(crate) parks_key: bool,
    /// The record, or why there can be none.
    pub(crate) record: Result<(TopicName, OwnedMessage), Fault>,
}

/// A letter that is on its way.
#[derive(Debug)]
struct UnderWay {
    letter_id: i64,
    parks_key: bool,
}

/// Why a producer did not take a letter.
pub(crate) enum Outgoing {
    /// Not now.
    Full,
    /// Never as it is.
    Refused(Fault),
}

/// Keeps what waits for the table, and what came from it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    to_write: VecDeque<(Ticket, Letter)>,
    /// What the question that is asked now is about.
    writing: Vec<(Ticket, Option<TopicKey>)>,
    is_asking: bool,
    /// Whether something may be marked that was not fetched.
    may_fetch: bool,
    marked: VecDeque<Marked>,
    under_way: HashMap<Ticket, UnderWay>,
    redriven: Vec<i64>,
    returned: Vec<Returned>,
    counts: Counts,
}

/// What has become of letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Letters that were published.
    pub(crate) redriven: u64,
    /// Letters that could not be published again.
    pub(crate) returned: u64,
}

impl Desk {
    /// A row is set aside.
    pub(crate) fn put(&mut self, ticket: Ticket, letter: Letter) {
        // A later one of its key may be marked: it was set aside while this row was on its way.
        if let Some(key) = letter.parks() {
            self.leave_behind(&Some(key));
        }
        self.to_write.push_back((ticket, letter));
    }

    /// A record on its way was given up. One that came from here goes back; the table holds it.
    pub(crate) fn give_up(&mut self, given_up: GivenUp, at: Timestamp) {
        let ticket = given_up.failed.ticket;
        match (self.under_way.remove(&ticket), given_up.failure.clone()) {
            (None, _) => self.put(ticket, Letter::of_given_up(given_up, at)),
            (Some(letter), Some(failure)) => {
                self.send_back(letter.letter_id, failure);
                if letter.parks_key {
                    self.leave_behind(&key_of(&given_up.failed.record));
                }
            }
            // It came behind one that went back, and is parked there with it, or marked still.
            (Some(_), None) => {}
        }
    }

    fn send_back(&mut self, letter_id: i64, failure: Failure) {
        self.counts.returned += 1;
        self.returned.push(Returned { letter_id, failure });
    }

    /// A letter that was published is acknowledged.
    pub(crate) fn acknowledge(&mut self, ticket: Ticket) {
        if let Some(letter) = self.under_way.remove(&ticket) {
            self.counts.redriven += 1;
            self.redriven.push(letter.letter_id);
        }
    }

    /// Letters may be marked: to be asked for when nothing of them is here any more.
    pub(crate) const fn look_for_marked(&mut self) {
        self.may_fetch = true;
    }

    /// What to ask now, if nothing is asked yet. Rows that wait for their letters come first: they hold up the slot.
    pub(crate) fn next_ask(&mut self) -> Option<Ask> {
        if self.is_asking {
            return None;
        }
        let ask = if !self.to_write.is_empty() {
            Ask::Write(self.next_batch())
        } else if !self.redriven.is_empty() || !self.returned.is_empty() {
            Ask::Settle {
                redriven: std::mem::take(&mut self.redriven),
                returned: std::mem::take(&mut self.returned),
            }
        } else if self.may_fetch && self.marked.is_empty() && self.under_way.is_empty() {
            self.may_fetch = false;
            Ask::Fetch
        } else {
            return None;
        };
        self.is_asking = true;
        Some(ask)
    }

    fn next_batch(&mut self) -> Vec<Letter> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some((ticket, letter)) = self.to_write.pop_front() {
            bytes += letter.bytes();
            self.writing.push((ticket, letter.parks()));
            batch.push(letter);
            if batch.len() >= WRITTEN_MAX || bytes >= WRITTEN_BYTES_MAX {
                break;
            }
        }
        batch
    }

    /// What was asked is answered. Returns when the transactions committed that are complete by it.
    ///
    /// # Panics
    /// Nothing was asked.
    pub(crate) fn answer(&mut self, answer: Answer, pipeline: &mut Pipeline) -> Vec<Timestamp> {
        assert!(self.is_asking, "an answer to nothing");
        self.is_asking = false;
        match answer {
            Answer::Written(letters_end) => {
                let written = self.writing.drain(..);
                written
                    .filter_map(|(ticket, parks)| pipeline.written(ticket, parks.as_ref(), letters_end))
                    .collect()
            }
            Answer::Settled { resolved, freed } => {
                pipeline.parking_mut().freed(resolved, &freed);
                self.may_fetch = true;
                Vec::new()
            }
            Answer::Fetched(marked) => {
                self.marked = marked.into();
                let unwritten: Vec<_> = self.to_write.iter().filter_map(|(_, letter)| letter.parks()).collect();
                for key in unwritten {
                    self.leave_behind(&Some(key));
                }
                Vec::new()
            }
        }
    }

    /// Hands marked letters to the producer, as many as it takes and there is room for, in order. None overtakes a row before
    /// it that an earlier process may have left unpublished, and that the stream has yet to bring again.
    pub(crate) fn redrive(
        &mut self,
        pipeline: &mut Pipeline,
        at: Timestamp,
        mut send: impl FnMut(Ticket, &TopicName, &OwnedMessage) -> Result<(), Outgoing>,
    ) {
        while let Some(Marked {
            outbox,
            record,
            commit_lsn,
            ..
        }) = self.marked.front()
        {
            if !pipeline.ledger().has_passed(*commit_lsn) {
                return;
            }
            let sent = match record {
                Err(fault) => Err(Outgoing::Refused(fault.clone())),
                Ok((_, message)) if !pipeline.ledger().has_room(record_bytes(message)) => return,
                Ok((topic, message)) => send(pipeline.ledger().next_ticket(), topic, message),
            };
            match sent {
                Ok(()) => {
                    let kept = Kept {
                        timestamp_ms: at.as_unix_ms(),
                        outbox: *outbox,
                    };
                    let bytes = record.as_ref().map_or(0, |(_, message)| record_bytes(message));
                    let ticket = pipeline.take_letter(kept, bytes);
                    if let Some(Marked {
                        letter_id, parks_key, ..
                    }) = self.marked.pop_front()
                    {
                        self.under_way.insert(ticket, UnderWay { letter_id, parks_key });
                    }
                }
                Err(Outgoing::Full) => return,
                Err(Outgoing::Refused(fault)) => self.refused(&fault, at),
            }
        }
    }

    /// The first marked letter cannot be published; those behind it wait again.
    fn refused(&mut self, fault: &Fault, at: Timestamp) {
        let Some(first) = self.marked.pop_front() else { return };
        self.send_back(first.letter_id, Failure::of_fault(fault, Vec::new(), at));
        match first.record {
            Ok((_, record)) if first.parks_key => self.leave_behind(&key_of(&record)),
            // Without a topic, what is of its key cannot be told from the rest: the table knows which wait.
            Err(_) => self.marked.clear(),
            Ok(_) => {}
        }
    }

    /// What comes behind a letter that went back is not published: the table has it wait again.
    fn leave_behind(&mut self, key: &Option<TopicKey>) {
        let is_of_key = |marked: &Marked| marked.record.as_ref().is_ok_and(|(_, record)| key_of(record) == *key);
        self.marked.retain(|marked| key.is_none() || !is_of_key(marked));
    }

    /// What was begun is done: nothing waits for the table, and nothing from it is under way. More may be marked.
    pub(crate) fn is_at_rest(&self) -> bool {
        let waits = !self.to_write.is_empty() || !self.redriven.is_empty() || !self.returned.is_empty();
        !self.is_asking && !waits && self.under_way.is_empty()
    }

    /// Nothing is marked either, as far as was asked.
    pub(crate) fn is_done(&self) -> bool {
        self.is_at_rest() && !self.may_fetch && self.marked.is_empty()
    }

    /// Whether rows wait for their letters.
    pub(crate) fn is_writing(&self) -> bool {
        !self.to_write.is_empty() || !self.writing.is_empty()
    }

    /// What was counted since this was last asked.
    pub(crate) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

fn key_of(record: &OwnedMessage) -> Option<TopicKey> {
    Some((record.topic().to_owned(), record.key()?.to_vec()))
}

fn record_bytes(message: &OwnedMessage) -> usize {
    use rdkafka::message::Headers;

    let headers = message.headers().map_or(0, Headers::count);
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    RECORD_OVERHEAD_BYTES + HEADER_OVERHEAD_BYTES * headers + length(message.key()) + length(message.payload())
}

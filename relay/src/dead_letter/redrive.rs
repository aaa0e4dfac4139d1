//! Letters that are marked in the table, on their way out: fetched in their order, handed to the producer, and noted. Pure.
//!
//! ```text
//!  marked in the table ── fetched ──► marked ── sent ──► under way ── acknowledged ──► redriven ──► noted in the table
//!                                                           └──────── given up ──────► returned ──┘
//! ```

use std::collections::{HashMap, VecDeque};

use outbox_decoder::{Lsn, Timestamp, TopicName};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;

use super::letter::{Failure, GivenUp};
use crate::fault::Fault;
use crate::pipeline::{HEADER_OVERHEAD_BYTES, Kept, Pipeline, RECORD_OVERHEAD_BYTES, Ticket, TopicKey};

/// Letters that may be on their way, or not be noted yet, while the next are fetched.
const UNSETTLED_MAX: usize = 2_000;

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

/// A letter that could not be published this time either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) letter_id: i64,
    pub(crate) failure: Failure,
}

/// What has become of letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Letters that were published.
    pub(crate) redriven: u64,
    /// Letters that could not be published again.
    pub(crate) returned: u64,
}

/// Keeps what was fetched, what is on its way, and what the table does not know yet.
#[derive(Debug, Default)]
pub(super) struct Redrive {
    /// Whether something may be marked that was not fetched.
    may_fetch: bool,
    /// And nothing was settled since: it is the turn of that, or many that ask to fetch would keep it from being noted.
    has_fetched: bool,
    marked: VecDeque<Marked>,
    under_way: HashMap<Ticket, UnderWay>,
    redriven: Vec<i64>,
    returned: Vec<Returned>,
    counts: Counts,
}

/// What the table is to be asked.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The next letters, without these.
    Fetch { without: Vec<i64> },
    /// To note what has become of these.
    Settle {
        redriven: Vec<i64>,
        returned: Vec<Returned>,
    },
}

impl Redrive {
    /// A record was given up. Whether it came from here, and goes back: otherwise it is a row's.
    pub(super) fn give_up(&mut self, given_up: &GivenUp) -> bool {
        let Some(letter) = self.under_way.remove(&given_up.failed.ticket) else {
            return false;
        };
        // Without a failure of its own it came behind one that went back, and is parked there with it, or marked still.
        if let Some(failure) = given_up.failure.clone() {
            self.send_back(letter.letter_id, failure);
            if letter.parks_key {
                self.leave_behind(key_of(&given_up.failed.record).as_ref());
            }
        }
        true
    }

    pub(super) fn send_back(&mut self, letter_id: i64, failure: Failure) {
        self.counts.returned += 1;
        self.returned.push(Returned { letter_id, failure });
    }

    /// A letter that was published is acknowledged.
    pub(super) fn acknowledge(&mut self, ticket: Ticket) {
        if let Some(letter) = self.under_way.remove(&ticket) {
            self.counts.redriven += 1;
            self.redriven.push(letter.letter_id);
        }
    }

    /// Letters may be marked: to be asked for when none is left here to be sent.
    pub(super) const fn look_for_marked(&mut self) {
        self.may_fetch = true;
    }

    /// What to ask now.
    pub(super) fn wants(&mut self) -> Option<Wanted> {
        if self.should_fetch() && !(self.has_fetched && self.has_outcomes()) {
            self.has_fetched = true;
            self.may_fetch = false;
            let without = self.unsettled().collect();
            return Some(Wanted::Fetch { without });
        }
        self.has_outcomes().then(|| {
            self.has_fetched = false;
            Wanted::Settle {
                redriven: std::mem::take(&mut self.redriven),
                returned: std::mem::take(&mut self.returned),
            }
        })
    }

    /// The next letters are fetched while those before them are on their way; not before the table knows which came back.
    fn should_fetch(&self) -> bool {
        let is_wanted = self.may_fetch && self.marked.is_empty() && self.returned.is_empty();
        is_wanted && self.under_way.len() + self.redriven.len() <= UNSETTLED_MAX
    }

    fn has_outcomes(&self) -> bool {
        !self.redriven.is_empty() || !self.returned.is_empty()
    }

    /// Letters that are marked in the table and need not be published again.
    fn unsettled(&self) -> impl Iterator<Item = i64> {
        let under_way = self.under_way.values().map(|letter| letter.letter_id);
        under_way.chain(self.redriven.iter().copied())
    }

    /// The next ones are here.
    pub(super) fn fetched(&mut self, marked: Vec<Marked>) {
        self.may_fetch |= !marked.is_empty();
        // What came back since may stand before them: they are fetched again when the table knows.
        if self.returned.is_empty() {
            self.marked = marked.into();
        }
    }

    /// Hands marked letters to the producer, as many as it takes and there is room for, in order. None overtakes a row before
    /// it that an earlier process may have left unpublished, and that the stream has yet to bring again.
    pub(super) fn send(
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
            Ok((_, record)) if first.parks_key => self.leave_behind(key_of(&record).as_ref()),
            // Without a topic, what is of its key cannot be told from the rest: the table knows which wait.
            Err(_) => self.marked.clear(),
            Ok(_) => {}
        }
    }

    /// What comes behind a letter that went back is not published: the table has it wait again.
    pub(super) fn leave_behind(&mut self, key: Option<&TopicKey>) {
        let Some(key) = key else { return };
        let is_of_key = |record: &OwnedMessage| key_of(record).as_ref() == Some(key);
        let record = |marked: &Marked| marked.record.as_ref().is_ok_and(|(_, record)| is_of_key(record));
        self.marked.retain(|marked| !record(marked));
    }

    /// Nothing is on its way, and the table knows what became of everything. More may be marked.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.has_outcomes() && self.under_way.is_empty()
    }

    /// Nothing is marked either, as far as was asked.
    pub(super) fn has_none_marked(&self) -> bool {
        !self.may_fetch && self.marked.is_empty()
    }

    /// What was counted since this was last asked.
    pub(super) fn take_counts(&mut self) -> Counts {
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

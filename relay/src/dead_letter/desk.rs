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
/// Letters that may be on their way, or not be noted yet, while the next are fetched.
const UNSETTLED_MAX: usize = 2_000;

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
    /// The next letters that are marked to be published, in order; without these, which are on their way or have arrived.
    Fetch { without: Vec<i64> },
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
    /// And nothing was settled since: it is the turn of that, or many that ask to fetch would keep it from being noted.
    has_fetched: bool,
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
            self.leave_behind(Some(&key));
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
                    self.leave_behind(key_of(&given_up.failed.record).as_ref());
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
        } else if self.should_fetch() && !(self.has_fetched && self.has_outcomes()) {
            self.has_fetched = true;
            self.may_fetch = false;
            Ask::Fetch {
                without: self.unsettled().collect(),
            }
        } else if self.has_outcomes() {
            self.has_fetched = false;
            Ask::Settle {
                redriven: std::mem::take(&mut self.redriven),
                returned: std::mem::take(&mut self.returned),
            }
        } else {
            return None;
        };
        self.is_asking = true;
        Some(ask)
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
                self.may_fetch |= !marked.is_empty();
                // What came back since may stand before them: they are fetched again when the table knows.
                if !self.returned.is_empty() {
                    return Vec::new();
                }
                self.marked = marked.into();
                let unwritten: Vec<_> = self.to_write.iter().filter_map(|(_, letter)| letter.parks()).collect();
                for key in unwritten {
                    self.leave_behind(Some(&key));
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
            Ok((_, record)) if first.parks_key => self.leave_behind(key_of(&record).as_ref()),
            // Without a topic, what is of its key cannot be told from the rest: the table knows which wait.
            Err(_) => self.marked.clear(),
            Ok(_) => {}
        }
    }

    /// What comes behind a letter that went back is not published: the table has it wait again.
    fn leave_behind(&mut self, key: Option<&TopicKey>) {
        let Some(key) = key else { return };
        let is_of_key = |record: &OwnedMessage| key_of(record).as_ref() == Some(key);
        let record = |marked: &Marked| marked.record.as_ref().is_ok_and(|(_, record)| is_of_key(record));
        self.marked.retain(|marked| !record(marked));
    }

    /// What was begun is done: nothing waits for the table, and nothing from it is under way. More may be marked.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.is_asking && self.to_write.is_empty() && !self.has_outcomes() && self.under_way.is_empty()
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

#[cfg(test)]
mod tests {
    use outbox_decoder::Position;
    use outbox_decoder::outbox::OutboxDecoder;

    use super::*;
    use crate::dead_letter::letter::Begins;
    use crate::fault::FaultCode;
    use crate::pipeline::{LetterLimits, Limits, Parking, Sink, Until};

    const AT: Timestamp = Timestamp::from_unix_us(0);

    /// It is never asked: nothing but keepalives is fed.
    struct Nowhere;

    impl Sink for Nowhere {
        type Refusal = ();

        fn send(
            &mut self,
            ticket: Ticket,
            _: &outbox_decoder::Envelope<'_>,
        ) -> Result<(), crate::pipeline::SendError<()>> {
            panic!("{ticket:?}")
        }

        fn set_aside(
            &mut self,
            ticket: Ticket,
            _: crate::pipeline::Aside<'_, ()>,
        ) -> Result<(), crate::pipeline::SendError<()>> {
            panic!("{ticket:?}")
        }

        fn completed(&mut self, _: Timestamp) {}
    }

    fn pipeline() -> Pipeline {
        let limits = Limits {
            in_flight_bytes_max: 1 << 20,
            in_flight_records_max: 100,
        };
        let letters = LetterLimits {
            parked_keys_max: 10,
            letters_max: 10,
        };
        let decoder = OutboxDecoder::new(Vec::new(), 1);
        Pipeline::new(decoder, limits, Parking::new(Vec::new(), letters), 1 << 16)
    }

    /// The stream comes so far.
    fn reach(pipeline: &mut Pipeline, position: u64) {
        let mut frame = vec![b'd', 0, 0, 0, 22, b'k'];
        frame.extend(position.to_be_bytes());
        frame.extend([0; 9]);
        pipeline.feed(&frame, Until::Exhausted, &mut Nowhere);
    }

    fn marked(letter_id: i64, commit_lsn: u64, key: &str) -> Marked {
        let topic: TopicName = "t".parse().expect("a topic");
        let key = Some(key.as_bytes().to_vec());
        let message = OwnedMessage::new(None, key, "t".to_owned(), rdkafka::Timestamp::NotAvailable, 0, 0, None);
        Marked {
            letter_id,
            commit_lsn: Lsn::new(commit_lsn),
            outbox: 0,
            parks_key: true,
            record: Ok((topic, message)),
        }
    }

    fn fault() -> Fault {
        Fault::new(FaultCode::RecordTooLarge, "too large", "")
    }

    fn fetched(desk: &mut Desk, pipeline: &mut Pipeline, letters: Vec<Marked>) {
        desk.look_for_marked();
        assert!(matches!(desk.next_ask(), Some(Ask::Fetch { .. })));
        desk.answer(Answer::Fetched(letters), pipeline);
    }

    /// Sends what may be sent; those of these keys are refused. Returns the keys that were taken.
    fn redrive(desk: &mut Desk, pipeline: &mut Pipeline, refused: &[&str]) -> Vec<String> {
        let mut taken = Vec::new();
        desk.redrive(pipeline, AT, |_, _, message| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            if refused.contains(&key.as_str()) {
                return Err(Outgoing::Refused(fault()));
            }
            taken.push(key);
            Ok(())
        });
        taken
    }

    fn letter(key: &str) -> Letter {
        Letter {
            position: Position {
                commit_lsn: Lsn::new(1),
                ordinal: 0,
                xid: 1,
            },
            committed_at: AT,
            outbox: 0,
            idempotency_key: "id".to_owned(),
            aggregate_type: None,
            topic: Some("t".to_owned()),
            key: Some(key.as_bytes().to_vec()),
            headers: Vec::new(),
            payload: None,
            timestamp_ms: 0,
            failure: Failure::of_fault(&fault(), Vec::new(), AT),
            begins: Begins::Failed,
            parks_key: true,
        }
    }

    /// A process that was killed may have left rows before it unpublished, of the same key.
    #[test]
    fn a_letter_never_overtakes_rows_that_the_stream_has_yet_to_bring_again() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        fetched(&mut desk, &mut pipeline, vec![marked(1, 100, "a"), marked(2, 200, "b")]);
        assert!(redrive(&mut desk, &mut pipeline, &[]).is_empty());
        reach(&mut pipeline, 100);
        assert!(
            redrive(&mut desk, &mut pipeline, &[]).is_empty(),
            "its own commit is still to come"
        );
        reach(&mut pipeline, 101);
        assert_eq!(redrive(&mut desk, &mut pipeline, &[]), ["a"]);
        reach(&mut pipeline, 300);
        assert_eq!(redrive(&mut desk, &mut pipeline, &[]), ["b"]);
    }

    #[test]
    fn what_comes_behind_a_letter_that_fails_again_waits_and_other_keys_do_not() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        let letters = vec![marked(1, 100, "a"), marked(2, 200, "b"), marked(3, 300, "a")];
        fetched(&mut desk, &mut pipeline, letters);
        assert_eq!(redrive(&mut desk, &mut pipeline, &["a"]), ["b"]);
        let Some(Ask::Settle { redriven, returned }) = desk.next_ask() else {
            panic!("one letter went back");
        };
        assert!(redriven.is_empty(), "b is not acknowledged");
        assert_eq!(returned.iter().map(|one| one.letter_id).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_row_that_is_set_aside_sends_marked_letters_of_its_key_back() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        fetched(&mut desk, &mut pipeline, vec![marked(1, 100, "a"), marked(2, 200, "b")]);
        desk.put(Ticket::from_u64(9), letter("a"));
        assert_eq!(redrive(&mut desk, &mut pipeline, &[]), ["b"]);
    }

    #[test]
    fn letters_that_are_fetched_while_an_earlier_row_of_their_key_is_set_aside_are_left_where_they_are() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        desk.look_for_marked();
        desk.next_ask();
        desk.put(Ticket::from_u64(9), letter("a"));
        desk.answer(
            Answer::Fetched(vec![marked(1, 100, "a"), marked(2, 200, "b")]),
            &mut pipeline,
        );
        assert_eq!(redrive(&mut desk, &mut pipeline, &[]), ["b"]);
    }

    #[test]
    fn the_next_letters_are_fetched_while_those_before_them_are_on_their_way() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        fetched(&mut desk, &mut pipeline, vec![marked(1, 100, "a"), marked(2, 200, "b")]);
        redrive(&mut desk, &mut pipeline, &[]);
        let Some(Ask::Fetch { mut without }) = desk.next_ask() else {
            panic!("nothing that was fetched is left");
        };
        without.sort_unstable();
        assert_eq!(without, [1, 2]);
        desk.answer(Answer::Fetched(vec![marked(3, 300, "c")]), &mut pipeline);
        assert_eq!(redrive(&mut desk, &mut pipeline, &[]), ["c"]);
    }

    #[test]
    fn what_is_fetched_while_a_letter_comes_back_is_left_until_the_table_knows_of_it() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        desk.look_for_marked();
        desk.next_ask();
        desk.send_back(1, Failure::of_fault(&fault(), Vec::new(), AT));
        desk.answer(Answer::Fetched(vec![marked(2, 200, "a")]), &mut pipeline);
        assert!(redrive(&mut desk, &mut pipeline, &[]).is_empty());
        let Some(Ask::Settle { returned, .. }) = desk.next_ask() else {
            panic!("it came back");
        };
        assert_eq!(returned.len(), 1);
        let settled = Answer::Settled {
            resolved: 0,
            freed: Vec::new(),
        };
        desk.answer(settled, &mut pipeline);
        assert!(matches!(desk.next_ask(), Some(Ask::Fetch { .. })));
    }

    #[test]
    fn rows_that_wait_for_their_letters_are_asked_for_first_and_one_thing_at_a_time() {
        let (mut desk, mut pipeline) = (Desk::default(), pipeline());
        reach(&mut pipeline, 1_000);
        fetched(&mut desk, &mut pipeline, vec![marked(1, 100, "a")]);
        redrive(&mut desk, &mut pipeline, &[]);
        for ticket in pipeline.ledger().unacknowledged().collect::<Vec<_>>() {
            pipeline.acknowledge(ticket);
        }
        for ticket in pipeline.take_published_letters() {
            desk.acknowledge(ticket);
        }
        desk.put(Ticket::from_u64(9), letter("b"));
        assert!(matches!(desk.next_ask(), Some(Ask::Write(_))));
        assert!(desk.next_ask().is_none() && !desk.is_at_rest());
    }
}

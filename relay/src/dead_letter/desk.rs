//! What is to be asked of the table of dead letters, and what its answers mean. Pure: no connection, no clock.
//!
//! One thing is asked at a time. What is asked is asked until it is answered, so each of it can be done twice.

use std::collections::VecDeque;

use outbox_decoder::{Lsn, Timestamp, TopicName};
use rdkafka::message::OwnedMessage;

use super::letter::{GivenUp, Letter};
use super::redrive::{Counts, Marked, Outgoing, Redrive, Returned, Wanted};
use crate::pipeline::{Pipeline, Ticket, TopicKey};

/// Letters that one transaction takes, and their bytes.
const WRITTEN_MAX: usize = 1_000;
const WRITTEN_BYTES_MAX: usize = 16 << 20;
/// Keys that are asked about at once.
const LOOKED_AT_MAX: usize = 1_000;

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
    /// Which of these keys have no letter left: an operator resolves them too.
    Look(Vec<TopicKey>),
}

/// What the table answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// They are committed, before this position.
    Written(Lsn),
    /// So many are resolved, and these keys have none left.
    Settled { resolved: usize, freed: Vec<TopicKey> },
    /// These keys have none left.
    Freed(Vec<TopicKey>),
    /// Nothing more is marked when there are none.
    Fetched(Vec<Marked>),
}

/// Keeps what waits for the table, and what came from it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    to_write: VecDeque<(Ticket, Letter)>,
    /// What the question that is asked now is about.
    writing: Vec<(Ticket, Option<TopicKey>)>,
    is_asking: bool,
    /// What is asked changes nothing: nobody has to wait for the answer.
    is_looking: bool,
    redrive: Redrive,
    to_look_at: Vec<TopicKey>,
}

impl Desk {
    /// A row is set aside.
    pub(crate) fn put(&mut self, ticket: Ticket, letter: Letter) {
        // A later one of its key may be marked: it was set aside while this row was on its way.
        if let Some(key) = letter.parks() {
            self.redrive.leave_behind(Some(&key));
        }
        self.to_write.push_back((ticket, letter));
    }

    /// A record on its way was given up. One that came from here goes back; the table holds it.
    pub(crate) fn give_up(&mut self, given_up: GivenUp, at: Timestamp) {
        if !self.redrive.give_up(&given_up) {
            self.put(given_up.failed.ticket, Letter::of_given_up(given_up, at));
        }
    }

    /// A letter that was published is acknowledged.
    pub(crate) fn acknowledge(&mut self, ticket: Ticket) {
        self.redrive.acknowledge(ticket);
    }

    /// Letters may be marked: to be asked for when none is left here to be sent.
    pub(crate) const fn look_for_marked(&mut self) {
        self.redrive.look_for_marked();
    }

    /// Keys that may have no letter left, to be asked about when there is nothing else to ask.
    pub(crate) fn look_at(&mut self, keys: Vec<TopicKey>) {
        if self.to_look_at.is_empty() {
            self.to_look_at = keys;
        }
    }

    /// What to ask now, if nothing is asked yet. Rows that wait for their letters come first: they hold up the slot.
    pub(crate) fn next_ask(&mut self) -> Option<Ask> {
        if self.is_asking {
            return None;
        }
        let ask = if self.to_write.is_empty() {
            match self.redrive.wants() {
                Some(Wanted::Fetch { without }) => Ask::Fetch { without },
                Some(Wanted::Settle { redriven, returned }) => Ask::Settle { redriven, returned },
                None => Ask::Look(self.next_keys()?),
            }
        } else {
            Ask::Write(self.next_batch())
        };
        self.is_asking = true;
        self.is_looking = matches!(ask, Ask::Look(_));
        Some(ask)
    }

    fn next_keys(&mut self) -> Option<Vec<TopicKey>> {
        let left = self.to_look_at.len().saturating_sub(LOOKED_AT_MAX);
        let keys = self.to_look_at.split_off(left);
        (!keys.is_empty()).then_some(keys)
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
                self.redrive.look_for_marked();
                Vec::new()
            }
            Answer::Freed(keys) => {
                pipeline.parking_mut().freed(0, &keys);
                Vec::new()
            }
            Answer::Fetched(marked) => {
                self.redrive.fetched(marked);
                for key in self.to_write.iter().filter_map(|(_, letter)| letter.parks()) {
                    self.redrive.leave_behind(Some(&key));
                }
                Vec::new()
            }
        }
    }

    /// Hands marked letters to the producer, as [`Redrive::send`] does.
    pub(crate) fn redrive(
        &mut self,
        pipeline: &mut Pipeline,
        at: Timestamp,
        send: impl FnMut(Ticket, &TopicName, &OwnedMessage) -> Result<(), Outgoing>,
    ) {
        self.redrive.send(pipeline, at, send);
    }

    /// What was begun is done: nothing waits for the table, and nothing from it is under way. More may be marked.
    pub(crate) fn is_at_rest(&self) -> bool {
        (!self.is_asking || self.is_looking) && self.to_write.is_empty() && self.redrive.is_at_rest()
    }

    /// Nothing is marked either, as far as was asked.
    pub(crate) fn is_done(&self) -> bool {
        self.is_at_rest() && self.redrive.has_none_marked()
    }

    /// Whether rows wait for their letters.
    pub(crate) fn is_writing(&self) -> bool {
        !self.to_write.is_empty() || !self.writing.is_empty()
    }

    /// What was counted since this was last asked.
    pub(crate) fn take_counts(&mut self) -> Counts {
        self.redrive.take_counts()
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::Position;
    use outbox_decoder::outbox::OutboxDecoder;

    use rdkafka::Message;

    use super::*;
    use crate::dead_letter::letter::{Begins, Failure};
    use crate::fault::{Fault, FaultCode};
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
        desk.redrive.send_back(1, Failure::of_fault(&fault(), Vec::new(), AT));
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

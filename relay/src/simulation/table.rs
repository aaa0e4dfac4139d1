//! The table of dead letters, as its SQL is written: what is asked of it on its way there, done, and answered on the way
//! back. Whoever asked may be gone by then.

use outbox_decoder::Lsn;
use rdkafka::Timestamp;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

use super::judge::{Judge, Place};
use super::mutation::Mutation;
use super::server::Server;
use crate::dead_letter::{Answer, Ask, Letter, Marked};
use crate::pipeline::{Standing, TopicKey};

/// Letters that are fetched at once.
const FETCHED_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Failed,
    Parked,
    Redriving,
    Redriven,
    Discarded,
}

#[derive(Debug, Clone)]
struct Row {
    place: Place,
    id: u32,
    letter: Letter,
    state: State,
}

impl Row {
    fn is_resolved(&self) -> bool {
        matches!(self.state, State::Redriven | State::Discarded)
    }

    fn parks(&self) -> Option<TopicKey> {
        self.letter.parks()
    }
}

/// The table, and what is under way to it and from it.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
    asked: Option<Ask>,
    /// Of a relay that is gone, with its claim.
    ghosts: Vec<(Ask, u32)>,
    /// Of the relay that streams, or that did last.
    claim: u32,
    answered: Option<Answer>,
    /// By a bug.
    was_answered_early: bool,
    mutation: Option<Mutation>,
    pub(super) redriven: u64,
    pub(super) discarded: u64,
    pub(super) returned: u64,
}

impl Table {
    pub(super) fn with(mutation: Option<Mutation>) -> Self {
        Self {
            mutation,
            ..Self::default()
        }
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        // A bug may ask on.
        if let Some(before) = self.asked.take() {
            assert!(self.was_answered_early, "one thing is asked at a time");
            self.ghosts.push((before, self.claim));
            self.was_answered_early = false;
        }
        if self.mutation == Some(Mutation::LetterCountsBeforeItsCommit)
            && let Ask::Write(_) = ask
        {
            self.answered = Some(Answer::Written(Lsn::ZERO));
            self.was_answered_early = true;
        }
        self.asked = Some(ask);
    }

    /// The relay is gone. What it asked may still be done.
    pub(super) fn relay_is_gone(&mut self) {
        let claim = self.claim;
        self.ghosts.extend(self.asked.take().map(|ask| (ask, claim)));
        self.answered = None;
        self.was_answered_early = false;
    }

    /// A relay streams from now on. What another one has not committed by now never will be.
    pub(super) const fn is_claimed(&mut self) {
        self.claim += 1;
    }

    /// What was asked is done.
    pub(super) fn execute(&mut self, server: &mut Server, judge: &mut Judge) {
        let Some(ask) = self.asked.take() else { return };
        let answer = self.commit(&ask, server, judge);
        if !std::mem::take(&mut self.was_answered_early) {
            self.answered = Some(answer);
        }
    }

    /// What a relay asked that is gone is done, or is not.
    pub(super) fn execute_ghost(&mut self, arrives: bool, server: &mut Server, judge: &mut Judge) {
        let Some((ask, claim)) = self.ghosts.pop() else { return };
        let wants_claim = match &ask {
            Ask::Write(_) => true,
            Ask::Settle { returned, .. } => !returned.is_empty(),
            Ask::Fetch { .. } | Ask::Look(_) => false,
        };
        let is_refused = wants_claim && claim != self.claim && self.mutation != Some(Mutation::WritesLettersForOthers);
        if arrives && !is_refused {
            self.commit(&ask, server, judge);
        }
    }

    /// The answer to what was asked arrives.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        // A bug may have answered what is not done.
        if self.asked.is_some() && self.mutation != Some(Mutation::LetterCountsBeforeItsCommit) {
            return None;
        }
        self.answered.take()
    }

    fn commit(&mut self, ask: &Ask, server: &mut Server, judge: &mut Judge) -> Answer {
        match ask {
            Ask::Write(letters) => {
                for letter in letters {
                    self.insert(letter);
                }
                let letters_end = server.write_letters();
                for letter in letters {
                    judge.lettered(id_of(letter), letters_end);
                }
                Answer::Written(letters_end)
            }
            Ask::Settle { redriven, returned } => {
                let mut resolved = 0;
                for row in self.marked(redriven) {
                    row.state = State::Redriven;
                    resolved += 1;
                }
                self.redriven += resolved as u64;
                for letter in returned {
                    self.take_back(letter.letter_id);
                }
                Answer::Settled {
                    resolved,
                    freed: self.freed(redriven),
                }
            }
            Ask::Fetch { without } => Answer::Fetched(self.fetch(without)),
            Ask::Look(keys) => Answer::Freed(keys.iter().filter(|key| !self.has_letters(key)).cloned().collect()),
        }
    }

    fn insert(&mut self, letter: &Letter) {
        let place = (letter.position.commit_lsn, letter.position.ordinal);
        if self.rows.iter().any(|row| row.place == place) {
            return;
        }
        let state = match letter.begins.name() {
            "failed" => State::Failed,
            _ => State::Parked,
        };
        self.rows.push(Row {
            place,
            id: id_of(letter),
            letter: letter.clone(),
            state,
        });
        self.rows.sort_by_key(|row| row.place);
        if state == State::Failed {
            self.hold_back(place);
        }
        self.release();
    }

    /// Letters behind one that failed wait again.
    fn hold_back(&mut self, place: Place) {
        let parks = self.rows.iter().find(|row| row.place == place).and_then(Row::parks);
        for row in &mut self.rows {
            if parks.is_some() && row.parks() == parks && row.place > place && row.state == State::Redriving {
                row.state = State::Parked;
            }
        }
    }

    /// Parked letters with no failed one of their key before them are to be published.
    fn release(&mut self) {
        for index in 0..self.rows.len() {
            let (before, row) = self.rows.split_at_mut(index);
            let row = &mut row[0];
            let waits = |one: &Row| one.state == State::Failed && one.parks().is_some() && one.parks() == row.parks();
            if row.state == State::Parked && !before.iter().any(waits) {
                row.state = State::Redriving;
            }
        }
    }

    fn marked<'t>(&'t mut self, ids: &'t [i64]) -> impl Iterator<Item = &'t mut Row> {
        let is_it = |row: &&mut Row| ids.contains(&i64::from(row.id)) && row.state == State::Redriving;
        self.rows.iter_mut().filter(is_it)
    }

    fn take_back(&mut self, letter_id: i64) {
        let marked = [letter_id];
        let Some(head) = self.marked(&marked).next() else {
            return;
        };
        head.state = State::Failed;
        let place = head.place;
        self.returned += 1;
        self.hold_back(place);
    }

    fn freed(&self, redriven: &[i64]) -> Vec<TopicKey> {
        let rows = self.rows.iter().filter(|row| redriven.contains(&i64::from(row.id)));
        let keys: Vec<TopicKey> = rows.filter_map(Row::parks).collect();
        keys.into_iter().filter(|key| !self.has_letters(key)).collect()
    }

    fn has_letters(&self, key: &TopicKey) -> bool {
        let mut left = self.rows.iter().filter(|row| !row.is_resolved());
        left.any(|row| row.parks().as_ref() == Some(key))
    }

    fn fetch(&self, without: &[i64]) -> Vec<Marked> {
        let is_next = |row: &&Row| row.state == State::Redriving && !without.contains(&i64::from(row.id));
        let rows = self.rows.iter().filter(is_next);
        rows.take(FETCHED_MAX).map(marked).collect()
    }

    /// What a stream has to know that begins now.
    pub(super) fn standing(&self, confirmed: Lsn, here: Lsn) -> Standing {
        let mut parked: Vec<(TopicKey, Place)> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.is_resolved()) {
            if let Some(key) = row.parks()
                && !parked.iter().any(|(known, _)| *known == key)
            {
                parked.push((key, row.place));
            }
        }
        let known = self.rows.iter().filter(|row| row.place.0 >= confirmed);
        let known = known.map(|row| row.place).collect();
        let forgets = |mutation| self.mutation == Some(mutation);
        Standing {
            parked: if forgets(Mutation::ForgetsParkedKeys) {
                Vec::new()
            } else {
                parked
            },
            known: if forgets(Mutation::ForgetsLetters) {
                Vec::new()
            } else {
                known
            },
            until: here,
            unresolved: 0,
        }
    }

    /// Somebody has letters published: all that failed.
    pub(super) fn redrive(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.state == State::Failed) {
            row.state = State::Redriving;
        }
        self.release();
    }

    /// Somebody lets the first letter go that failed.
    pub(super) fn discard(&mut self, judge: &mut Judge) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.state == State::Failed) {
            row.state = State::Discarded;
            self.discarded += 1;
            judge.discarded(row.id);
        }
        self.release();
    }

    pub(super) fn has_marked(&self) -> bool {
        self.rows.iter().any(|row| row.state == State::Redriving)
    }

    pub(super) fn is_resolved(&self) -> bool {
        self.rows.iter().all(Row::is_resolved)
    }

    /// Letters of rows that the brokers refused, and not the producer.
    pub(super) fn given_up(&self) -> u64 {
        let by_brokers = self
            .rows
            .iter()
            .filter(|row| row.letter.failure.broker_response.is_some());
        by_brokers.count() as u64
    }

    pub(super) fn letters(&self) -> u64 {
        self.rows.len() as u64
    }
}

fn id_of(letter: &Letter) -> u32 {
    letter.idempotency_key.parse().expect("a row's id")
}

fn marked(row: &Row) -> Marked {
    let letter = &row.letter;
    let headers = letter
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    let topic = letter.topic.clone().expect("its topic could be made");
    let message = OwnedMessage::new(
        letter.payload.clone(),
        letter.key.clone(),
        topic.clone(),
        Timestamp::NotAvailable,
        0,
        0,
        Some(headers),
    );
    Marked {
        letter_id: i64::from(row.id),
        commit_lsn: row.place.0,
        outbox: 0,
        parks_key: letter.parks_key,
        record: Ok((topic.parse().expect("a topic"), message)),
    }
}

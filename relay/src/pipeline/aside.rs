//! Which rows go to the dead letters: by policy, because somebody said so, or because an earlier one of their key is there.
//!
//! What is known here of the table is at least what is there: a key whose letters somebody else has resolved counts as parked
//! until the table is asked about it, and a row that is set aside for nothing is published from there, in its order.

use std::collections::{BTreeSet, HashMap, HashSet};

use outbox_decoder::{Envelope, Lsn, Position, Text};

use super::step::Why;

/// What happens to a row that can never be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefectPolicy {
    /// The line stops at it.
    #[default]
    Halt,
    /// It goes to the dead letters, and later rows of its key go there too, to wait behind it.
    SetAsideAndPark,
    /// It goes to the dead letters, and later rows of its key overtake it.
    SetAsideAndContinue,
}

/// Bounds on what may be set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterLimits {
    /// Keys whose rows wait.
    pub parked_keys_max: usize,
    /// Letters that are neither redriven nor discarded.
    pub letters_max: usize,
}

/// A key of a topic, parked: later rows of it wait.
pub type TopicKey = (String, Vec<u8>);

/// Where a row stands: commit and ordinal.
pub type Place = (Lsn, u32);

/// What the table of dead letters holds, as it was read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Of each parked key, the first letter that is not resolved.
    pub parked: Vec<(TopicKey, Place)>,
    /// Letters that the server may send once more.
    pub known: Vec<Place>,
    /// Where the stream has to be before what it passes over them may be confirmed.
    pub until: Lsn,
    /// Letters that are not resolved.
    pub unresolved: usize,
}

/// What somebody has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Nothing is taken from the slot; the reason that was given.
    pub paused: Option<String>,
    /// Outboxes whose rows wait.
    pub paused_outboxes: Vec<u16>,
    /// Events that are to be set aside.
    pub skips: HashSet<Vec<u8>>,
    /// Letters are marked to be published.
    pub is_redrive_asked: bool,
}

#[derive(Debug)]
struct Parked {
    first: Place,
    /// Letters of it that are not committed yet.
    unwritten: usize,
    is_in_table: bool,
}

/// Decides which rows go to the dead letters.
#[derive(Debug)]
pub struct Parking {
    policies: Vec<DefectPolicy>,
    limits: LetterLimits,
    parked: HashMap<String, HashMap<Vec<u8>, Parked>>,
    parked_keys: usize,
    known: BTreeSet<Place>,
    until: Lsn,
    controls: Controls,
    unresolved: usize,
    unwritten: usize,
}

impl Parking {
    /// Nothing is set aside. `policies` are those of the decoder's tables.
    pub fn new(policies: Vec<DefectPolicy>, limits: LetterLimits) -> Self {
        Self {
            policies,
            limits,
            parked: HashMap::new(),
            parked_keys: 0,
            known: BTreeSet::new(),
            until: Lsn::ZERO,
            controls: Controls::default(),
            unresolved: 0,
            unwritten: 0,
        }
    }

    /// The table was read, after everything that [`Parking::written`] and [`Parking::freed`] were told of so far, or before
    /// it and with the same outcome: keys with unwritten letters stay parked either way.
    pub fn read(&mut self, standing: Standing) {
        for keys in self.parked.values_mut() {
            keys.retain(|_, parked| {
                parked.is_in_table = false;
                parked.unwritten > 0
            });
        }
        self.parked_keys = self.parked.values().map(HashMap::len).sum();
        for ((topic, key), first) in standing.parked {
            self.park(topic, key, first).is_in_table = true;
        }
        self.known.extend(standing.known);
        self.until = self.until.max(standing.until);
        self.unresolved = standing.unresolved;
    }

    /// What somebody has asked for, as it is now.
    pub fn obey(&mut self, controls: Controls) {
        self.controls = controls;
    }

    /// What somebody has asked for.
    pub const fn controls(&self) -> &Controls {
        &self.controls
    }

    fn park(&mut self, topic: String, key: Vec<u8>, place: Place) -> &mut Parked {
        let keys = self.parked.entry(topic).or_default();
        let parked_keys = &mut self.parked_keys;
        let parked = keys.entry(key).or_insert_with(|| {
            *parked_keys += 1;
            Parked {
                first: place,
                unwritten: 0,
                is_in_table: false,
            }
        });
        parked.first = parked.first.min(place);
        parked
    }

    /// Where the stream has to be if the row has a letter already, of an earlier connection.
    pub(super) fn letter_of(&self, position: Position) -> Option<Lsn> {
        self.known.contains(&place(position)).then_some(self.until)
    }

    /// The stream has come to this commit: whatever had a letter before it does not come again on this connection.
    pub(super) fn pass(&mut self, commit_lsn: Lsn) {
        while self.known.first().is_some_and(|place| place.0 < commit_lsn) {
            self.known.pop_first();
        }
    }

    /// Why a row that could be published is not.
    pub(super) fn verdict<R>(&self, envelope: &Envelope<'_>) -> Option<Why<R>> {
        let Controls {
            skips, paused_outboxes, ..
        } = &self.controls;
        if !skips.is_empty() && skips.contains(envelope.idempotency_key.as_bytes()) {
            return Some(Why::Skipped);
        }
        let key = envelope.key.as_ref().map(Text::as_bytes);
        if self.parked_keys > 0 && self.waits(envelope.topic.as_str(), key, envelope.position) {
            return Some(Why::KeyParked);
        }
        paused_outboxes.contains(&envelope.outbox).then_some(Why::RoutePaused)
    }

    /// A row before the first letter of its key does not wait for it: it was on its way when that one was set aside.
    fn waits(&self, topic: &str, key: Option<&[u8]>, position: Position) -> bool {
        let parked = key.and_then(|key| self.parked.get(topic)?.get(key));
        parked.is_some_and(|parked| parked.first < place(position))
    }

    /// Whether a row that cannot be published is set aside, and if so, whether it parks its key.
    pub fn of_defect(&self, outbox: u16, id: &[u8]) -> Option<bool> {
        if self.controls.skips.contains(id) {
            return Some(false);
        }
        match self.policies.get(usize::from(outbox)).copied().unwrap_or_default() {
            DefectPolicy::Halt => None,
            DefectPolicy::SetAsideAndPark => Some(true),
            DefectPolicy::SetAsideAndContinue => Some(false),
        }
    }

    /// Whether one more letter may be, of this key.
    pub fn has_room(&self, topic: Option<&str>, key: Option<&[u8]>) -> bool {
        let is_known = || {
            let parked = key.and_then(|key| self.parked.get(topic?)?.get(key));
            parked.is_some()
        };
        self.unresolved + self.unwritten < self.limits.letters_max
            && (self.parked_keys < self.limits.parked_keys_max || is_known())
    }

    /// A row was set aside; its letter is to be written.
    pub fn set_aside(&mut self, parks: Option<TopicKey>, position: Position) {
        self.unwritten += 1;
        if let Some((topic, key)) = parks {
            self.park(topic, key, place(position)).unwritten += 1;
        }
    }

    /// A letter is committed.
    pub fn written(&mut self, parks: Option<&TopicKey>) {
        self.unwritten -= 1;
        self.unresolved += 1;
        if let Some((topic, key)) = parks
            && let Some(parked) = self.parked.get_mut(topic).and_then(|keys| keys.get_mut(key))
        {
            parked.unwritten -= 1;
            parked.is_in_table = true;
        }
    }

    /// So many letters are resolved, and these keys have none left in the table.
    pub fn freed(&mut self, resolved: usize, keys: &[TopicKey]) {
        self.unresolved = self.unresolved.saturating_sub(resolved);
        for (topic, key) in keys {
            let Some(of_topic) = self.parked.get_mut(topic) else {
                continue;
            };
            let Some(parked) = of_topic.get_mut(key) else { continue };
            parked.is_in_table = false;
            if parked.unwritten == 0 {
                of_topic.remove(key);
                self.parked_keys -= 1;
            }
        }
    }

    /// The keys whose letters are in the table: some may be resolved by now, by somebody else.
    pub fn keys_in_table(&self) -> Vec<TopicKey> {
        let of_topic = |(topic, keys): (&String, &HashMap<Vec<u8>, Parked>)| {
            let in_table = keys
                .iter()
                .filter(|(_, parked)| parked.is_in_table && parked.unwritten == 0);
            let named = in_table.map(|(key, _)| (topic.clone(), key.clone()));
            named.collect::<Vec<_>>()
        };
        self.parked.iter().flat_map(of_topic).collect()
    }

    /// Letters that are not resolved, as far as is known here.
    pub const fn unresolved(&self) -> usize {
        self.unresolved
    }

    /// What was counted in the table a moment ago.
    pub const fn count(&mut self, unresolved: usize) {
        self.unresolved = unresolved;
    }

    /// Keys whose rows wait.
    pub const fn parked_keys(&self) -> usize {
        self.parked_keys
    }
}

fn place(position: Position) -> Place {
    (position.commit_lsn, position.ordinal)
}

//! What was committed against what can be read: the invariants I1 to I5, as far as each can be known at the time.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use outbox_decoder::Lsn;

use super::server::{Row, Transaction};

/// Where a row stands: the start of its commit, and its number in the transaction.
pub(super) type Place = (Lsn, u32);

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation(pub(super) String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sees every record that becomes readable, and every confirmation.
#[derive(Debug, Default)]
pub(super) struct Judge {
    committed: BTreeMap<u32, (Place, Row)>,
    /// How often each row can be read.
    read: BTreeMap<u32, u32>,
    /// What may come again because of a fault: it was readable before it was confirmed.
    owed: BTreeSet<u32>,
    /// The newest first occurrence of each key.
    newest: BTreeMap<(u8, u8), Place>,
    /// Rows that have a letter, and where it committed.
    letters: BTreeMap<u32, Lsn>,
    discarded: BTreeSet<u32>,
    /// Rows whose delivery is noted, where that is asked for.
    noted: Option<BTreeSet<u32>>,
    /// What becomes readable now was left behind by a producer.
    pub(super) is_late: bool,
    violation: Option<Violation>,
}

impl Judge {
    pub(super) fn committed(&mut self, transaction: &Transaction) {
        for (ordinal, row) in (0..).zip(&transaction.rows) {
            self.committed.insert(row.id, ((transaction.commit_lsn, ordinal), *row));
        }
    }

    /// A record becomes readable.
    pub(super) fn appended(&mut self, id: u32, topic: u8, key: u8) {
        let Some(&(place, row)) = self.committed.get(&id) else {
            return self.found(format!("phantom: row {id} was never committed"));
        };
        if (row.topic, row.key) != (topic, key) {
            return self.found(format!("altered: row {id} is in topic {topic} under key {key}"));
        }
        let is_discarded = self.discarded.contains(&id);
        if is_discarded && !self.is_late {
            self.found(format!("undead: row {id} was discarded, and is published"));
        }
        let times = self.read.entry(id).or_default();
        *times += 1;
        // Of a row that somebody let go, an attempt may still be on the wire, and nothing is promised about its place.
        if *times > 1 || is_discarded {
            return;
        }
        if let Some(newest) = self.newest.insert((topic, key), place)
            && newest > place
        {
            self.found(format!(
                "reordered: row {id} at {place:?} of key {key} behind {newest:?}"
            ));
        }
    }

    /// A row's letter is committed there.
    pub(super) fn lettered(&mut self, id: u32, letters_end: Lsn) {
        self.letters.entry(id).or_insert(letters_end);
    }

    /// Deliveries are noted, and nothing is confirmed before.
    pub(super) fn expect_notes(&mut self) {
        self.noted = Some(BTreeSet::new());
    }

    /// The delivery of a row is noted.
    pub(super) fn noted(&mut self, id: u32) {
        self.noted.as_mut().map(|noted| noted.insert(id));
    }

    /// Somebody lets a row go.
    pub(super) fn discarded(&mut self, id: u32) {
        self.discarded.insert(id);
    }

    /// The slot will begin at `confirmed` from now on: all that it passes over must be readable, or have a letter that no
    /// failover can lose, because the stream has `told` of what comes after it.
    pub(super) fn confirmed(&mut self, confirmed: Lsn, told: Lsn) {
        let is_kept = |id: &u32| self.letters.get(id).is_some_and(|letters_end| *letters_end <= told);
        let early = self
            .unread()
            .find(|(id, (place, _))| place.0 < confirmed && !is_kept(id));
        if let Some((id, (place, _))) = early {
            let text =
                format!("unsafe checkpoint: {confirmed} is confirmed, and row {id} at {place:?} is not readable");
            self.found(text);
        }
        self.must_be_told(confirmed);
    }

    /// Of a row with a letter the letter tells.
    fn must_be_told(&mut self, confirmed: Lsn) {
        let Some(noted) = &self.noted else { return };
        let mut passed = self.committed.iter().filter(|(_, (place, _))| place.0 < confirmed);
        let untold = passed.find(|(id, _)| !noted.contains(id) && !self.letters.contains_key(id));
        if let Some((id, (place, _))) = untold {
            let text =
                format!("untold: {confirmed} is confirmed, and the delivery of row {id} at {place:?} is not noted");
            self.found(text);
        }
    }

    /// Everything is mended and at rest.
    pub(super) fn finished(&mut self) {
        let lost = self
            .unread()
            .find(|(id, _)| !self.discarded.contains(id))
            .map(|(id, (place, _))| format!("lost: row {id} at {place:?}"));
        if let Some(text) = lost {
            self.found(text);
        }
    }

    /// A fault: whatever can be read and is not confirmed may come again.
    pub(super) fn interrupted(&mut self, confirmed: Lsn) {
        let owed: Vec<u32> = self.readable_from(confirmed).map(|(id, _)| *id).collect();
        self.owed.extend(owed);
    }

    /// Whatever a producer left behind arrives although nobody waits for it any more.
    pub(super) fn arrived_late(&mut self, id: u32) {
        self.owed.insert(id);
    }

    /// After a clean stop nothing comes again but what a fault before it owes. A row with a letter is recognised by it.
    pub(super) fn stopped(&mut self, confirmed: Lsn) {
        let is_known = |id: &u32| self.owed.contains(id) || self.letters.contains_key(id);
        let again = self.readable_from(confirmed).find(|(id, _)| !is_known(id));
        if let Some((id, (place, _))) = again {
            let text =
                format!("needless repeat: {confirmed} is confirmed at a clean stop, and row {id} at {place:?} is read");
            self.found(text);
        }
    }

    pub(super) fn found(&mut self, text: String) {
        self.violation.get_or_insert(Violation(text));
    }

    pub(super) fn verdict(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.read.values().map(|&times| u64::from(times) - 1).sum()
    }

    pub(super) fn rows(&self) -> u64 {
        self.committed.len() as u64
    }

    pub(super) fn has_read(&self, id: u32) -> bool {
        self.read.contains_key(&id)
    }

    /// What can be read: of rows that are all committed from the start, nothing else decides about a promise.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        self.read.keys().collect::<Vec<_>>().hash(hasher);
    }

    fn readable_from(&self, confirmed: Lsn) -> impl Iterator<Item = (&u32, &(Place, Row))> {
        let is_it = move |(id, (place, _)): &(&u32, &(Place, Row))| place.0 >= confirmed && self.read.contains_key(id);
        self.committed.iter().filter(is_it)
    }

    fn unread(&self) -> impl Iterator<Item = (&u32, &(Place, Row))> {
        self.committed.iter().filter(|(id, _)| !self.read.contains_key(id))
    }
}

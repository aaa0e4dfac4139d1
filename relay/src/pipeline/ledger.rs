//! What was taken from the slot and what Kafka has acknowledged of it.
//!
//! Delivery reports have no order over partitions, therefore progress is not the newest report but the newest commit
//! such that its records and all before it are acknowledged. A record is known by its [`Ticket`], a row by its commit
//! and ordinal: rows that the server sends again after a reconnect are recognised and not produced a second time.
//!
//! A row that is set aside instead has a ticket too. It counts when its dead letter is committed, and the stream has reached
//! that commit. A letter that is published later has a ticket and no commit: nothing waits for it, the table holds it. Where an
//! outbox keeps its delivery state, a record that is acknowledged counts when that is written.

use std::collections::VecDeque;

use outbox_decoder::{CommitPosition, Lsn, Position, Timestamp};

use super::passage::Passage;

/// The number of a record, counted over the life of a ledger. It travels through the producer as the opaque value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// From the producer's opaque value.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The producer's opaque value.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Bounds on what may wait for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records, their overhead in the producer included.
    pub in_flight_bytes_max: usize,
    /// Number of records.
    pub in_flight_records_max: usize,
}

/// Records wait behind an older one of a slower partition although they are acknowledged; the ledger remembers at most
/// this many times [`Limits::in_flight_records_max`] of them.
const WINDOW_FACTOR: usize = 2;

/// What a failed delivery report does not bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// The record's timestamp.
    pub timestamp_ms: i64,
    /// Which of the decoder's tables its row is from.
    pub outbox: u16,
}

/// What is awaited of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Its acknowledgement.
    Brokers,
    /// The commit of its dead letter.
    Letter,
    /// The note of its delivery.
    Note,
    Nothing,
}

/// In place of a commit, of a record that is published from its dead letter.
const OF_A_LETTER: u64 = u64::MAX;

/// One record between the oldest that something is awaited of and the newest.
#[derive(Debug)]
struct Entry {
    commit: u64,
    timestamp_ms: i64,
    bytes: u32,
    outbox: u16,
    awaited: Awaited,
}

const _: () = assert!(size_of::<Entry>() == 24, "the window of the ledger is made of these");

/// One transaction whose records are not all acknowledged, or whose end is still to come.
#[derive(Debug)]
struct Commit {
    commit_lsn: Lsn,
    committed_at: Timestamp,
    /// `None` while the Commit message has not come.
    end_lsn: Option<Lsn>,
    unacknowledged: u64,
    /// Where its dead letters committed; 0/0 without any.
    letters_end: Lsn,
}

impl Commit {
    const fn is_complete(&self) -> bool {
        self.end_lsn.is_some() && self.unacknowledged == 0
    }
}

/// The record of everything that is under way.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    entries: VecDeque<Entry>,
    first_ticket: u64,
    commits: VecDeque<Commit>,
    first_commit: u64,
    in_flight_records: usize,
    in_flight_bytes: usize,
    /// Records whose dead letters are not committed yet. Their bytes are among those in flight.
    unwritten_letters: usize,
    /// Records that are acknowledged, and whose delivery is not noted yet. Their bytes are among those in flight.
    unnoted: usize,
    newest_taken: Option<(Lsn, u32)>,
    passage: Passage,
    /// Acknowledged, and not taken note of.
    published_letters: Vec<Ticket>,
}

impl Ledger {
    /// An empty ledger: nothing taken, nothing acknowledged.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            first_ticket: 0,
            commits: VecDeque::new(),
            first_commit: 0,
            in_flight_records: 0,
            in_flight_bytes: 0,
            unwritten_letters: 0,
            unnoted: 0,
            newest_taken: None,
            passage: Passage::default(),
            published_letters: Vec::new(),
        }
    }

    /// Whether a row was taken before, on this connection or an earlier one.
    ///
    /// The server sends rows in one order, so whatever is not above the newest one taken was taken too.
    pub fn has_taken(&self, position: Position) -> bool {
        self.newest_taken
            .is_some_and(|newest| (position.commit_lsn, position.ordinal) <= newest)
    }

    /// The commit LSN of the newest row taken.
    pub fn newest_taken(&self) -> Option<Lsn> {
        self.newest_taken.map(|(commit_lsn, _)| commit_lsn)
    }

    /// Whether a record of this size may go on its way. With nothing in flight any size may: a large row is no reason
    /// to stand still for ever.
    pub fn has_room(&self, bytes: usize) -> bool {
        let records = self.unsettled_records();
        let within = self.in_flight_bytes + bytes <= self.limits.in_flight_bytes_max
            && records < self.limits.in_flight_records_max;
        let window = self.entries.len() < self.limits.in_flight_records_max * WINDOW_FACTOR;
        window && (within || records == 0)
    }

    /// The ticket that [`Ledger::take`] gives next.
    pub fn next_ticket(&self) -> Ticket {
        Ticket(self.first_ticket + self.entries.len() as u64)
    }

    /// Enters a record that was handed to the producer. Only rows that were not taken before, in their order.
    pub fn take(&mut self, position: Position, committed_at: Timestamp, kept: Kept, bytes: usize) -> Ticket {
        assert!(!self.has_taken(position), "{position:?} was taken twice");
        let is_open = self.commits.back().is_some_and(|commit| commit.end_lsn.is_none());
        if is_open {
            let open = self.commits.back().map(|commit| commit.commit_lsn);
            assert_eq!(
                open,
                Some(position.commit_lsn),
                "a transaction began before the one before it ended"
            );
        } else {
            let commit_lsn = position.commit_lsn;
            self.commits.push_back(Commit {
                commit_lsn,
                committed_at,
                end_lsn: None,
                unacknowledged: 0,
                letters_end: Lsn::ZERO,
            });
        }
        let commit = self.first_commit + self.commits.len() as u64 - 1;
        if let Some(open) = self.commits.back_mut() {
            open.unacknowledged += 1;
        }
        self.newest_taken = Some((position.commit_lsn, position.ordinal));
        self.enter(commit, kept, bytes)
    }

    /// Enters a record that was published from its dead letter.
    pub fn take_letter(&mut self, kept: Kept, bytes: usize) -> Ticket {
        self.enter(OF_A_LETTER, kept, bytes)
    }

    fn enter(&mut self, commit: u64, kept: Kept, bytes: usize) -> Ticket {
        let ticket = self.next_ticket();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.entries.push_back(Entry {
            commit,
            timestamp_ms: kept.timestamp_ms,
            outbox: kept.outbox,
            bytes,
            awaited: Awaited::Brokers,
        });
        self.in_flight_records += 1;
        self.in_flight_bytes += bytes as usize;
        ticket
    }

    /// A record goes to the dead letters, and not to the brokers.
    ///
    /// # Panics
    /// It is not awaited from the brokers, or comes from there.
    pub fn set_aside(&mut self, ticket: Ticket) {
        let entry = self.entry(ticket);
        assert_eq!(entry.awaited, Awaited::Brokers, "{ticket:?} is set aside");
        assert_ne!(entry.commit, OF_A_LETTER, "{ticket:?} has a letter already");
        entry.awaited = Awaited::Letter;
        self.in_flight_records -= 1;
        self.unwritten_letters += 1;
    }

    /// The brokers have acknowledged a record, which counts when its delivery is noted.
    ///
    /// # Panics
    /// It is not awaited from the brokers, or comes from a dead letter.
    pub fn await_note(&mut self, ticket: Ticket) {
        let entry = self.entry(ticket);
        assert_eq!(entry.awaited, Awaited::Brokers, "{ticket:?} was acknowledged twice");
        assert_ne!(entry.commit, OF_A_LETTER, "what becomes of {ticket:?} its letter tells");
        entry.awaited = Awaited::Note;
        self.in_flight_records -= 1;
        self.unnoted += 1;
    }

    /// The delivery of a record is noted. Returns when its transaction committed if this made that one complete.
    ///
    /// # Panics
    /// No note of it is awaited.
    pub fn noted(&mut self, ticket: Ticket) -> Option<Timestamp> {
        let awaited = self.entry(ticket).awaited;
        assert_eq!(awaited, Awaited::Note, "{ticket:?} is noted");
        self.settle(ticket)
    }

    /// A record that was published from its dead letter is not awaited any more: the letter stays.
    ///
    /// # Panics
    /// It is none, or not awaited from the brokers.
    pub fn withdraw_letter(&mut self, ticket: Ticket) {
        let &mut Entry { awaited, commit, .. } = self.entry(ticket);
        assert_eq!(
            (awaited, commit),
            (Awaited::Brokers, OF_A_LETTER),
            "{ticket:?} is withdrawn"
        );
        self.settle(ticket);
    }

    /// The dead letter of a record that was set aside is committed, before `letters_end`. Returns when its transaction
    /// committed if this made that one complete.
    ///
    /// # Panics
    /// The record was not set aside.
    pub fn written(&mut self, ticket: Ticket, letters_end: Lsn) -> Option<Timestamp> {
        let entry = self.entry(ticket);
        assert_eq!(entry.awaited, Awaited::Letter, "{ticket:?} has a letter");
        let commit = entry.commit;
        let commit = &mut self.commits[usize::try_from(commit - self.first_commit).unwrap_or(usize::MAX)];
        commit.letters_end = commit.letters_end.max(letters_end);
        self.settle(ticket)
    }

    /// Whether everything that committed before this was taken, by this process or one before it: the stream has come
    /// further.
    pub fn has_passed(&self, commit_lsn: Lsn) -> bool {
        self.passage.reached() > commit_lsn
    }

    /// Letters that were published and acknowledged since this was last asked.
    pub fn take_published_letters(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.published_letters)
    }

    /// The stream has come so far.
    pub fn reach(&mut self, position: Lsn) {
        self.passage.reach(position);
    }

    /// Ends a transaction. Returns when it committed if this made it complete.
    pub fn commit(&mut self, position: CommitPosition) -> Option<Timestamp> {
        let end_lsn = position.end_lsn();
        let Some(last) = self.commits.back_mut() else {
            // Nothing of it, and nothing before it, is under way.
            self.passage.passed(end_lsn, Lsn::ZERO);
            return None;
        };
        let ended = match last.end_lsn {
            None if last.commit_lsn == position.commit_lsn() => {
                last.end_lsn = Some(end_lsn);
                last.is_complete().then_some(last.committed_at)
            }
            // A transaction before the open one, sent again after a reconnect.
            None => None,
            // A transaction without rows: acknowledged together with the one before it.
            Some(end) => {
                last.end_lsn = Some(end.max(end_lsn));
                None
            }
        };
        self.pass_complete_commits();
        ended
    }

    /// The server has passed everything that committed before this: a transaction that was half taken on a lost
    /// connection and is not sent again was confirmed by another relay, or passed over by the operator.
    pub fn pass(&mut self, commit_lsn: Lsn) {
        if let Some(last) = self.commits.back_mut()
            && last.end_lsn.is_none()
            && last.commit_lsn < commit_lsn
        {
            last.end_lsn = Some(last.commit_lsn);
        }
        self.pass_complete_commits();
    }

    /// The brokers have acknowledged a record. Returns when its transaction committed if this made that one complete.
    ///
    /// # Panics
    /// A ticket that was never given, or one that was acknowledged before: the position could not be trusted any more.
    pub fn acknowledge(&mut self, ticket: Ticket) -> Option<Timestamp> {
        let &mut Entry { awaited, commit, .. } = self.entry(ticket);
        assert_eq!(awaited, Awaited::Brokers, "{ticket:?} was acknowledged twice");
        if commit == OF_A_LETTER {
            self.published_letters.push(ticket);
        }
        self.settle(ticket)
    }

    fn entry(&mut self, ticket: Ticket) -> &mut Entry {
        let index = self.index(ticket);
        let entry = index.and_then(|index| self.entries.get_mut(index));
        entry.unwrap_or_else(|| panic!("{ticket:?} is not in flight"))
    }

    fn index(&self, ticket: Ticket) -> Option<usize> {
        usize::try_from(ticket.0.checked_sub(self.first_ticket)?).ok()
    }

    /// Nothing is awaited of a record any more.
    fn settle(&mut self, ticket: Ticket) -> Option<Timestamp> {
        let entry = self.entry(ticket);
        let (before, bytes, commit) = (entry.awaited, entry.bytes, entry.commit);
        entry.awaited = Awaited::Nothing;
        match before {
            Awaited::Brokers => self.in_flight_records -= 1,
            Awaited::Letter => self.unwritten_letters -= 1,
            Awaited::Note => self.unnoted -= 1,
            Awaited::Nothing => panic!("{ticket:?} was settled twice"),
        }
        self.in_flight_bytes -= bytes as usize;

        let completed = if commit == OF_A_LETTER {
            None
        } else {
            let index = usize::try_from(commit - self.first_commit).unwrap_or(usize::MAX);
            let commit = &mut self.commits[index];
            commit.unacknowledged -= 1;
            commit.is_complete().then_some(commit.committed_at)
        };

        while self
            .entries
            .front()
            .is_some_and(|entry| entry.awaited == Awaited::Nothing)
        {
            self.entries.pop_front();
            self.first_ticket += 1;
        }
        self.pass_complete_commits();
        completed
    }

    fn pass_complete_commits(&mut self) {
        while let Some(commit) = self.commits.pop_front_if(|commit| commit.is_complete()) {
            self.first_commit += 1;
            let end_lsn = commit.end_lsn.unwrap_or(Lsn::ZERO);
            self.passage.passed(end_lsn, commit.letters_end);
        }
    }

    /// End of the newest commit such that everything up to it is acknowledged, or set aside for good; 0/0 before the first.
    pub const fn acknowledged_end(&self) -> Lsn {
        self.passage.acknowledged_end()
    }

    /// Nothing is unacknowledged, no transaction is half taken, and nothing waits for the stream to reach it.
    pub fn is_idle(&self) -> bool {
        self.commits.is_empty() && !self.waits_for_stream()
    }

    /// Whether what could be confirmed waits for the stream to reach the commit of a dead letter.
    pub fn waits_for_stream(&self) -> bool {
        self.passage.held() > 0
    }

    /// How many positions the stream has to reach are told from each other.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.passage.held()
    }

    /// Records whose dead letters are not committed yet.
    pub const fn unwritten_letters(&self) -> usize {
        self.unwritten_letters
    }

    /// Records that are acknowledged, and whose delivery is not noted yet.
    pub const fn unnoted(&self) -> usize {
        self.unnoted
    }

    /// Records of which something is awaited.
    pub const fn unsettled_records(&self) -> usize {
        self.in_flight_records + self.unwritten_letters + self.unnoted
    }

    /// When the oldest transaction that is not acknowledged committed.
    pub fn oldest_unacknowledged(&self) -> Option<Timestamp> {
        self.commits.front().map(|commit| commit.committed_at)
    }

    /// Records that wait for their acknowledgement.
    pub const fn in_flight_records(&self) -> usize {
        self.in_flight_records
    }

    /// Their bytes.
    pub const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// What is known of a ticket in flight.
    pub fn kept(&self, ticket: Ticket) -> Option<Kept> {
        self.entries.get(self.index(ticket)?).map(|entry| Kept {
            timestamp_ms: entry.timestamp_ms,
            outbox: entry.outbox,
        })
    }

    /// Whether a ticket in flight is of a record that is published from its dead letter.
    pub fn is_letter(&self, ticket: Ticket) -> bool {
        let entry = self.index(ticket).and_then(|index| self.entries.get(index));
        entry.is_some_and(|entry| entry.commit == OF_A_LETTER)
    }

    /// When the transaction of a ticket in flight committed; `None` of a record that is published from its dead letter.
    pub fn committed_at(&self, ticket: Ticket) -> Option<Timestamp> {
        let entry = self.entries.get(self.index(ticket)?)?;
        let index = usize::try_from(entry.commit.checked_sub(self.first_commit)?).ok()?;
        self.commits.get(index).map(|commit| commit.committed_at)
    }

    /// The tickets in flight, in order: what must be sent again when a producer is lost.
    pub fn unacknowledged(&self) -> impl Iterator<Item = Ticket> {
        (self.first_ticket..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.awaited == Awaited::Brokers)
            .map(|(number, _)| Ticket(number))
    }

    /// What decides how it goes on, for the simulation that visits every state.
    #[cfg(test)]
    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        let entries = self.entries.iter();
        let entries = entries.map(|entry| (entry.commit, entry.awaited as u8));
        let commits = self.commits.iter();
        let commits = commits.map(|commit| (commit.commit_lsn, commit.end_lsn, commit.unacknowledged));
        (entries.collect::<Vec<_>>(), commits.collect::<Vec<_>>()).hash(hasher);
        (self.first_ticket, self.first_commit).hash(hasher);
        (self.newest_taken, self.acknowledged_end()).hash(hasher);
    }
}

//! How far everything is acknowledged or set aside for good. A dead letter that stands behind a position holds it back until the
//! stream has reached the letter's commit: no failover can then keep the position and lose the letter.

use std::collections::VecDeque;

use outbox_decoder::Lsn;

/// So many are told from each other; more are let go together with the newest.
const HELD_MAX: usize = 256;

/// Commits that wait for the stream to reach `until`; the newest of them ends at `end_lsn`.
#[derive(Debug)]
struct Held {
    end_lsn: Lsn,
    until: Lsn,
}

#[derive(Debug, Default)]
pub(super) struct Passage {
    acknowledged_end: Lsn,
    held: VecDeque<Held>,
    reached: Lsn,
}

impl Passage {
    /// Everything up to a commit's end is acknowledged or written; its dead letters committed before `letters_end`, 0/0
    /// without any. What comes later waits for whatever it waits for.
    pub(super) fn passed(&mut self, end_lsn: Lsn, letters_end: Lsn) {
        let before = self.held.back().map_or(Lsn::ZERO, |held| held.until);
        let until = before.max(letters_end);
        if until <= self.reached {
            self.acknowledged_end = self.acknowledged_end.max(end_lsn);
            return;
        }
        let is_full = self.held.len() >= HELD_MAX;
        match self.held.back_mut() {
            Some(newest) if newest.until == until || is_full => {
                newest.end_lsn = newest.end_lsn.max(end_lsn);
                newest.until = until;
            }
            _ => self.held.push_back(Held { end_lsn, until }),
        }
    }

    /// The stream has come so far.
    pub(super) fn reach(&mut self, position: Lsn) {
        self.reached = self.reached.max(position);
        while self.held.front().is_some_and(|held| held.until <= self.reached) {
            let passed = self.held.pop_front().map_or(Lsn::ZERO, |held| held.end_lsn);
            self.acknowledged_end = self.acknowledged_end.max(passed);
        }
    }

    /// How far the stream has come.
    pub(super) const fn reached(&self) -> Lsn {
        self.reached
    }

    /// What can be confirmed; 0/0 before the first.
    pub(super) const fn acknowledged_end(&self) -> Lsn {
        self.acknowledged_end
    }

    /// How many positions the stream has to reach are told from each other.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

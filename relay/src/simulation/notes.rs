//! The notes of deliveries, as their writer brings them to the database: taken, committed, and told of. Whoever took them may
//! be gone by then.

use std::sync::Arc;

use super::judge::Judge;
use super::mutation::Mutation;
use crate::delivery_state::simulated::{Entry, Queue};

/// Notes that one transaction takes.
const WRITTEN_MAX: usize = 3;

#[derive(Default)]
pub(super) struct Notes {
    /// Of the relay that runs, where deliveries are noted.
    queue: Option<Arc<Queue>>,
    taken: Vec<Entry>,
    is_committed: bool,
    mutation: Option<Mutation>,
    pub(super) written: u64,
}

impl Notes {
    pub(super) fn with(mutation: Option<Mutation>) -> Self {
        Self {
            mutation,
            ..Self::default()
        }
    }

    /// Of a new relay. What the one before it was writing is done, or is not.
    pub(super) fn follow(&mut self, queue: Option<Arc<Queue>>, arrives: bool, judge: &mut Judge) {
        if arrives {
            self.commit(judge);
        }
        self.taken.clear();
        self.queue = queue;
    }

    /// The next ones are taken, or those that were taken are committed.
    pub(super) fn write(&mut self, judge: &mut Judge) {
        let Some(queue) = &self.queue else { return };
        if !self.taken.is_empty() {
            return self.commit(judge);
        }
        self.taken = queue.take(WRITTEN_MAX);
        self.is_committed = false;
        if self.mutation == Some(Mutation::NoteCountsBeforeItsCommit) {
            queue.written(&self.taken);
        }
    }

    fn commit(&mut self, judge: &mut Judge) {
        if self.is_committed {
            return;
        }
        self.is_committed = true;
        for entry in &self.taken {
            judge.noted(entry.id.parse().expect("a row's id"));
            self.written += 1;
        }
    }

    /// The relay learns that they are committed.
    pub(super) fn answer(&mut self) {
        if let Some(queue) = &self.queue
            && self.is_committed
        {
            let taken = std::mem::take(&mut self.taken);
            if self.mutation != Some(Mutation::NoteCountsBeforeItsCommit) {
                queue.written(&taken);
            }
        }
    }
}

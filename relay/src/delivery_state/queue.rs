//! Notes between the journal and the writer. What is in flight bounds those of published events.

use std::sync::{Mutex, MutexGuard, PoisonError};

use outbox_decoder::Timestamp;
use tokio::sync::Notify;

use super::ids::Event;
use crate::pipeline::Ticket;

/// Notes of failures that wait to be written. One more is left out: the next failure says the same.
const FAILED_MAX: usize = 1_024;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Kafka has acknowledged it.
    Published,
    /// It was refused for that reason, and is tried again.
    Failed(&'static str),
}

/// A note that waits to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) outbox: u16,
    pub(crate) id: String,
    pub(super) status: Status,
    pub(super) at: Timestamp,
    pub(super) failures: u32,
    /// Who waits for it.
    awaiting: Option<Awaiting>,
}

/// A ticket, and of which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaiting {
    ticket: Ticket,
    history: u32,
}

impl Entry {
    pub(super) fn of(event: &Event, status: Status, at: Timestamp) -> Self {
        Self {
            outbox: event.outbox,
            id: String::from_utf8_lossy(event.id()).into_owned(),
            status,
            at,
            failures: event.failures,
            awaiting: None,
        }
    }
}

#[derive(Debug, Default)]
struct Notes {
    waiting: Vec<Entry>,
    failed: usize,
    written: Vec<(Ticket, Timestamp)>,
    history: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    notes: Mutex<Notes>,
    filled: Notify,
}

impl Queue {
    /// Adds what is published, and returns what has been written since the last time.
    pub(super) fn exchange(&self, published: Vec<(Ticket, Entry)>) -> Vec<(Ticket, Timestamp)> {
        let mut notes = self.lock();
        let (was_empty, history) = (notes.waiting.is_empty(), notes.history);
        let with_ticket = |(ticket, entry)| Entry {
            awaiting: Some(Awaiting { ticket, history }),
            ..entry
        };
        notes.waiting.extend(published.into_iter().map(with_ticket));
        if was_empty && !notes.waiting.is_empty() {
            self.filled.notify_one();
        }
        std::mem::take(&mut notes.written)
    }

    /// Adds a failure, as long as there are not too many.
    pub(super) fn push_failed(&self, entry: Entry) {
        let mut notes = self.lock();
        if notes.failed < FAILED_MAX {
            notes.failed += 1;
            notes.waiting.push(entry);
            self.filled.notify_one();
        }
    }

    /// How many wait to be taken.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits until there is something.
    pub(super) async fn filled(&self) {
        while self.len() == 0 {
            self.filled.notified().await;
        }
    }

    /// Takes the oldest, `max` at the most.
    pub(crate) fn take(&self, max: usize) -> Vec<Entry> {
        let mut notes = self.lock();
        let count = notes.waiting.len().min(max);
        let rest = notes.waiting.split_off(count);
        let taken = std::mem::replace(&mut notes.waiting, rest);
        let is_failed = |entry: &&Entry| entry.awaiting.is_none();
        notes.failed -= taken.iter().filter(is_failed).count();
        taken
    }

    /// They are in the database.
    pub(crate) fn written(&self, entries: &[Entry]) {
        let mut notes = self.lock();
        let history = notes.history;
        let written = entries.iter().filter_map(|entry| {
            let awaiting = entry.awaiting.filter(|awaiting| awaiting.history == history)?;
            Some((awaiting.ticket, entry.at))
        });
        notes.written.extend(written);
    }

    /// Another history begins: nobody waits for what is here, or is being written.
    pub(super) fn forget(&self) {
        let mut notes = self.lock();
        *notes = Notes {
            history: notes.history.wrapping_add(1),
            ..Notes::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery_state::ids::EventIds;

    #[test]
    fn failures_that_nobody_writes_take_no_more_than_their_place_and_there_is_room_again_after_them() {
        let (queue, mut ids) = (Queue::default(), EventIds::default());
        ids.put(Ticket::from_u64(0), 0, b"a");
        let event = ids.take(Ticket::from_u64(0)).expect("an event");
        let failed = Entry::of(&event, Status::Failed("x"), Timestamp::default());
        for _ in 0..FAILED_MAX + 5 {
            queue.push_failed(failed.clone());
        }
        assert_eq!(queue.len(), FAILED_MAX);
        assert_eq!(queue.take(24).len(), 24);
        queue.push_failed(failed);
        assert_eq!(queue.len(), FAILED_MAX - 23);
    }
}

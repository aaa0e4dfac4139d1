//! Notes between the line and the writer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use outbox_decoder::{Lsn, Timestamp};
use tokio::sync::Notify;

use super::{DeliveryNote, DeliveryStatus};

/// Some seconds of the writer's work, and a few megabytes.
pub(super) const NOTES_MAX: usize = 20_000;

/// A note that waits to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) outbox: u16,
    pub(super) id: String,
    pub(super) commit_lsn: Lsn,
    pub(super) status: DeliveryStatus,
    pub(super) at: Timestamp,
    pub(super) retry_count: u32,
    pub(super) error_code: Option<&'static str>,
}

impl Entry {
    pub(super) fn of(note: &DeliveryNote<'_>) -> Self {
        Self {
            outbox: note.outbox,
            id: String::from_utf8_lossy(note.id).into_owned(),
            commit_lsn: note.commit_lsn,
            status: note.status,
            at: note.at,
            retry_count: note.retry_count,
            error_code: note.error_code,
        }
    }
}

#[derive(Debug, Default)]
struct Notes {
    waiting: Vec<Entry>,
    /// The lowest commit of those that wait.
    oldest_waiting: Option<Lsn>,
    /// The lowest commit of those that are being written.
    oldest_taken: Option<Lsn>,
}

/// Bounded by whoever asks for room before there is something to note.
#[derive(Debug, Default)]
pub(super) struct Queue {
    notes: Mutex<Notes>,
    filled: Notify,
}

impl Queue {
    /// Whether another event may be taken: what is in flight then still fits.
    pub(super) fn has_room(&self) -> bool {
        self.lock().waiting.len() < NOTES_MAX
    }

    pub(super) fn push(&self, entry: Entry) {
        let mut notes = self.lock();
        let oldest = notes.oldest_waiting.unwrap_or(entry.commit_lsn);
        notes.oldest_waiting = Some(oldest.min(entry.commit_lsn));
        notes.waiting.push(entry);
        if notes.waiting.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// The lowest commit of which something is not written yet.
    pub(super) fn oldest(&self) -> Option<Lsn> {
        let notes = self.lock();
        match (notes.oldest_waiting, notes.oldest_taken) {
            (Some(waiting), Some(taken)) => Some(waiting.min(taken)),
            (waiting, taken) => waiting.or(taken),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits until there is something.
    pub(super) async fn filled(&self) {
        while self.len() == 0 {
            self.filled.notified().await;
        }
    }

    /// Takes all that there is. It counts as unwritten until [`Queue::written`].
    pub(super) fn take(&self) -> Vec<Entry> {
        let mut notes = self.lock();
        let taken = std::mem::take(&mut notes.waiting);
        notes.oldest_taken = notes.oldest_waiting.take();
        taken
    }

    /// What was taken last is in the database.
    pub(super) fn written(&self) {
        self.lock().oldest_taken = None;
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, commit_lsn: u64) {
        let note = DeliveryNote {
            outbox: 0,
            id: b"a",
            commit_lsn: Lsn::new(commit_lsn),
            status: DeliveryStatus::Published,
            at: Timestamp::default(),
            retry_count: 0,
            error_code: None,
        };
        queue.push(Entry::of(&note));
    }

    #[test]
    fn a_commit_is_unwritten_while_its_note_waits_and_while_it_is_being_written() {
        let queue = Queue::default();
        assert_eq!(queue.oldest(), None);
        push(&queue, 20);
        push(&queue, 10);
        assert_eq!(queue.oldest(), Some(Lsn::new(10)));
        assert_eq!(queue.take().len(), 2);
        push(&queue, 15);
        assert_eq!(queue.oldest(), Some(Lsn::new(10)), "it is not in the database yet");
        queue.written();
        assert_eq!(queue.oldest(), Some(Lsn::new(15)));
        queue.take();
        queue.written();
        assert_eq!(queue.oldest(), None);
    }

    #[test]
    fn a_full_queue_has_no_room_and_loses_nothing() {
        let queue = Queue::default();
        for commit_lsn in 0..NOTES_MAX as u64 {
            assert!(queue.has_room());
            push(&queue, commit_lsn);
        }
        assert!(!queue.has_room());
        push(&queue, 0);
        assert_eq!(queue.take().len(), NOTES_MAX + 1);
        assert!(queue.has_room());
    }
}

//! What is noted of events on their way, between the producer and the pipeline.

use std::sync::Arc;

use outbox_decoder::{Envelope, Timestamp};
use tokio::sync::watch;

use super::ids::EventIds;
use super::queue::{Entry, Queue, Status};
use super::writer::Writer;
use crate::clock;
use crate::config::Settings;
use crate::dead_letter::Place;
use crate::pipeline::Ticket;
use crate::telemetry::{Health, Metrics};

/// The events of the outboxes that keep their delivery state.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: Arc<Queue>,
    ids: EventIds,
    places: watch::Sender<Option<Place>>,
    /// By the decoder's number of an outbox.
    is_kept: Vec<bool>,
    /// What is acknowledged and not handed to the writer yet.
    published: Vec<(Ticket, Entry)>,
}

impl Journal {
    /// Starts the writer; `None` where no outbox keeps its state.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        health: &Health,
    ) -> std::io::Result<Option<Self>> {
        // The decoder numbers its tables as the configuration sorts them.
        let is_kept: Vec<bool> = settings.outbox.values().map(|outbox| outbox.delivery_state).collect();
        if !is_kept.contains(&true) {
            return Ok(None);
        }
        let journal = Self::of(is_kept);
        Writer::start(settings, metrics, health, &journal.queue, journal.places.subscribe())?;
        Ok(Some(journal))
    }

    /// Of one outbox that keeps its states, with the queue that a writer would take from.
    #[cfg(test)]
    pub(crate) fn simulated() -> (Self, Arc<Queue>) {
        let journal = Self::of(vec![true]);
        let queue = Arc::clone(&journal.queue);
        (journal, queue)
    }

    fn of(is_kept: Vec<bool>) -> Self {
        Self {
            queue: Arc::default(),
            ids: EventIds::default(),
            places: watch::channel(None).0,
            is_kept,
            published: Vec::new(),
        }
    }

    /// The stream comes from there now.
    pub(crate) fn follow(&self, place: Place) {
        self.places.send_replace(Some(place));
    }

    /// An event has gone on its way.
    pub(crate) fn sent(&mut self, ticket: Ticket, envelope: &Envelope<'_>) {
        self.put(ticket, envelope.outbox, envelope.idempotency_key.as_bytes());
    }

    fn put(&mut self, ticket: Ticket, outbox: u16, id: &[u8]) {
        if self.is_kept.get(usize::from(outbox)).copied().unwrap_or(false) {
            self.ids.put(ticket, outbox, id);
        }
    }

    /// It is refused, and tried again.
    pub(crate) fn failed(&mut self, ticket: Ticket, code: &'static str) {
        let Some(event) = self.ids.get_mut(ticket) else { return };
        event.failures = event.failures.saturating_add(1);
        self.queue
            .push_failed(Entry::of(event, Status::Failed(code), clock::now()));
    }

    /// It goes to the dead letters: what becomes of it there is noted there.
    pub(crate) fn set_aside(&mut self, ticket: Ticket) {
        self.ids.take(ticket);
    }

    /// The brokers have acknowledged it. Whether that is to be noted before it counts.
    pub(crate) fn acknowledged(&mut self, ticket: Ticket, at: Timestamp) -> bool {
        let Some(event) = self.ids.take(ticket) else {
            return false;
        };
        self.published.push((ticket, Entry::of(&event, Status::Published, at)));
        true
    }

    /// Hands what was acknowledged to the writer, and takes what it has written since the last time.
    pub(crate) fn exchange(&mut self) -> Vec<(Ticket, Timestamp)> {
        self.queue.exchange(std::mem::take(&mut self.published))
    }

    /// Nothing is in flight, and what is not written yet never counts: tickets begin anew.
    pub(crate) fn forget(&mut self) {
        self.ids = EventIds::default();
        self.published.clear();
        self.queue.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ticket(number: u64) -> Ticket {
        Ticket::from_u64(number)
    }

    const AT: Timestamp = Timestamp::from_unix_us(1_000);

    /// Which of them have to be noted before they count.
    fn acknowledge(journal: &mut Journal, tickets: &[u64]) -> Vec<u64> {
        let mut acknowledged = tickets.to_vec();
        acknowledged.retain(|&number| journal.acknowledged(ticket(number), AT));
        acknowledged
    }

    fn noted(journal: &mut Journal) -> Vec<u64> {
        let noted = journal.exchange();
        assert!(noted.iter().all(|&(_, at)| at == AT), "{noted:?}");
        noted.into_iter().map(|(ticket, _)| ticket.as_u64()).collect()
    }

    /// Two events of an outbox that keeps its state, and one of another.
    fn three() -> Journal {
        let mut journal = Journal::of(vec![true, false]);
        journal.put(ticket(0), 0, b"a");
        journal.put(ticket(1), 1, b"b");
        journal.put(ticket(2), 0, b"c");
        journal
    }

    #[test]
    fn an_event_counts_as_acknowledged_when_its_note_is_written_and_one_that_needs_none_at_once() {
        let mut journal = three();
        assert_eq!(acknowledge(&mut journal, &[0, 1, 2]), [0, 2]);
        assert!(noted(&mut journal).is_empty());
        let taken = journal.queue.take(100);
        assert!(noted(&mut journal).is_empty(), "it is being written");
        journal.queue.written(&taken);
        assert_eq!(noted(&mut journal), [0, 2]);
        assert!(noted(&mut journal).is_empty(), "once");
    }

    /// The ledger of another history gives the same tickets to other events.
    #[test]
    fn what_is_written_of_a_history_that_is_over_counts_for_nothing() {
        let mut journal = three();
        acknowledge(&mut journal, &[0, 1]);
        noted(&mut journal);
        let taken = journal.queue.take(100);
        acknowledge(&mut journal, &[2]);
        noted(&mut journal);
        journal.forget();
        journal.put(ticket(0), 0, b"of another history");
        journal.queue.written(&taken);
        assert!(noted(&mut journal).is_empty());
        assert_eq!(journal.queue.len(), 0);
        assert_eq!(acknowledge(&mut journal, &[0]), [0]);
    }

    #[test]
    fn what_failed_is_noted_with_its_reason_and_counted_when_it_is_published_after_all() {
        let mut journal = three();
        journal.failed(ticket(0), "topic_missing");
        journal.failed(ticket(0), "topic_missing");
        journal.failed(ticket(1), "topic_missing");
        acknowledge(&mut journal, &[0]);
        noted(&mut journal);
        let seen: Vec<_> = journal
            .queue
            .take(100)
            .iter()
            .map(|entry| (entry.status, entry.failures))
            .collect();
        let failed = Status::Failed("topic_missing");
        assert_eq!(seen, [(failed, 1), (failed, 2), (Status::Published, 2)]);
    }

    #[test]
    fn a_dead_letter_is_none_of_its_business() {
        let mut journal = three();
        journal.set_aside(ticket(0));
        assert!(acknowledge(&mut journal, &[0]).is_empty(), "published from its letter");
        noted(&mut journal);
        assert_eq!(journal.queue.take(100).len(), 0);
    }
}

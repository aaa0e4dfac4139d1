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
    /// How many are acknowledged and not written yet.
    unwritten: usize,
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

    fn of(is_kept: Vec<bool>) -> Self {
        Self {
            queue: Arc::default(),
            ids: EventIds::default(),
            places: watch::channel(None).0,
            is_kept,
            unwritten: 0,
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

    /// Of what is acknowledged leaves only what is noted already: the rest comes back here when it is.
    pub(crate) fn pass(&mut self, acknowledged: &mut Vec<(Ticket, Timestamp)>) {
        let (ids, mut published) = (&mut self.ids, Vec::new());
        acknowledged.retain(|&(ticket, at)| match ids.take(ticket) {
            Some(event) => {
                published.push((ticket, Entry::of(&event, Status::Published, at)));
                false
            }
            None => true,
        });
        self.unwritten += published.len();
        let written = self.queue.exchange(published);
        self.unwritten -= written.len();
        acknowledged.extend(written);
    }

    /// How many are acknowledged and not passed on yet.
    pub(crate) const fn unwritten(&self) -> usize {
        self.unwritten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ticket(number: u64) -> Ticket {
        Ticket::from_u64(number)
    }

    const AT: Timestamp = Timestamp::from_unix_us(1_000);

    fn pass(journal: &mut Journal, tickets: &[u64]) -> Vec<u64> {
        let mut acknowledged = tickets.iter().map(|&number| (ticket(number), AT)).collect();
        journal.pass(&mut acknowledged);
        assert!(acknowledged.iter().all(|&(_, at)| at == AT), "{acknowledged:?}");
        acknowledged.into_iter().map(|(ticket, _)| ticket.as_u64()).collect()
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
        assert_eq!(pass(&mut journal, &[0, 1, 2]), [1]);
        assert_eq!((pass(&mut journal, &[]), journal.unwritten()), (vec![], 2));
        let taken = journal.queue.take(100);
        assert_eq!(
            (pass(&mut journal, &[]), journal.unwritten()),
            (vec![], 2),
            "it is being written"
        );
        journal.queue.written(&taken);
        assert_eq!((pass(&mut journal, &[]), journal.unwritten()), (vec![0, 2], 0));
    }

    #[test]
    fn what_failed_is_noted_with_its_reason_and_counted_when_it_is_published_after_all() {
        let mut journal = three();
        journal.failed(ticket(0), "topic_missing");
        journal.failed(ticket(0), "topic_missing");
        journal.failed(ticket(1), "topic_missing");
        pass(&mut journal, &[0]);
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
        assert_eq!(pass(&mut journal, &[0]), [0], "published from its letter");
        assert_eq!(journal.queue.take(100).len(), 0);
    }
}

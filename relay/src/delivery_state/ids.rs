//! The ids of events in flight: the ledger does not keep them, and a delivery report does not bring them back.
//!
//! A window beside the ledger's own, by ticket, and only where an outbox keeps its delivery state. An id of up to 38 bytes, which
//! a UUID's 36 are, lies in the window itself: nothing is allocated per event.

use std::collections::VecDeque;

use crate::pipeline::Ticket;

const INLINE_BYTES: usize = 38;

/// An event in flight, by what is noted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Which of the decoder's tables the row is from.
    pub(super) outbox: u16,
    /// How often it has failed so far.
    pub(super) failures: u32,
    id: Id,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Boxed(Box<[u8]>),
}

impl Event {
    fn new(outbox: u16, id: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        let id = match (bytes.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(id);
                Id::Inline { length, bytes }
            }
            _ => Id::Boxed(id.into()),
        };
        Self {
            outbox,
            failures: 0,
            id,
        }
    }

    /// The idempotency key.
    pub(super) fn id(&self) -> &[u8] {
        match &self.id {
            Id::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Id::Boxed(bytes) => bytes,
        }
    }
}

/// Events in flight, by ticket.
#[derive(Debug, Default)]
pub(super) struct EventIds {
    first: u64,
    window: VecDeque<Option<Event>>,
}

impl EventIds {
    /// Remembers an event that goes on its way. Tickets come in their order, and start over with a ledger.
    ///
    /// # Panics
    /// A ticket is older than one that is in flight.
    pub(super) fn put(&mut self, ticket: Ticket, outbox: u16, id: &[u8]) {
        if self.window.is_empty() {
            self.first = ticket.as_u64();
        }
        let place = self.place(ticket).expect("tickets come in their order");
        // Those between belong to outboxes that keep nothing.
        while self.window.len() <= place {
            self.window.push_back(None);
        }
        self.window[place] = Some(Event::new(outbox, id));
    }

    /// The event of a ticket, which stays in flight.
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Event> {
        let place = self.place(ticket)?;
        self.window.get_mut(place)?.as_mut()
    }

    /// The event of a ticket, which has arrived or goes elsewhere; `None` for one that was never put in, or has been taken.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Event> {
        let place = self.place(ticket)?;
        let event = self.window.get_mut(place)?.take();
        while let Some(None) = self.window.front() {
            self.window.pop_front();
            self.first += 1;
        }
        event
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        usize::try_from(ticket.as_u64().checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ticket(number: u64) -> Ticket {
        Ticket::from_u64(number)
    }

    fn filled(tickets: std::ops::Range<u64>) -> EventIds {
        let mut ids = EventIds::default();
        for number in tickets {
            ids.put(ticket(number), 0, number.to_string().as_bytes());
        }
        ids
    }

    #[test]
    fn an_id_is_found_by_its_ticket_once_in_whatever_order_they_arrive() {
        let mut ids = filled(5..10);
        for number in [7, 5, 9, 6, 8] {
            let event = ids.take(ticket(number)).expect("an event");
            assert_eq!(event.id(), number.to_string().as_bytes());
            assert_eq!(ids.take(ticket(number)), None, "once");
        }
        assert!(ids.window.is_empty());
    }

    #[test]
    fn the_window_is_no_longer_than_from_the_oldest_to_the_newest() {
        let mut ids = filled(0..100);
        for number in (1..100).rev() {
            ids.take(ticket(number));
        }
        assert_eq!(ids.window.len(), 100, "the oldest is in flight");
        ids.take(ticket(0));
        assert_eq!(ids.window.len(), 0);
        ids.put(ticket(100_000), 1, b"x");
        assert_eq!(
            ids.window.len(),
            1,
            "tickets of other outboxes take no place before the first"
        );
    }

    #[test]
    fn tickets_may_start_over_when_nothing_is_in_flight() {
        let mut ids = filled(7..9);
        ids.take(ticket(7));
        ids.take(ticket(8));
        ids.put(ticket(0), 3, b"another history");
        assert_eq!(ids.take(ticket(0)).map(|event| event.outbox), Some(3));
    }

    #[test]
    fn an_id_of_any_length_comes_back_as_it_was() {
        let mut ids = EventIds::default();
        for (number, length) in (0..).zip([0, 36, INLINE_BYTES, INLINE_BYTES + 1, 300]) {
            let id = vec![b'x'; length];
            ids.put(ticket(number), 0, &id);
            assert_eq!(ids.take(ticket(number)).expect("an event").id(), id);
        }
        assert!(size_of::<Option<Event>>() <= 48, "{}", size_of::<Option<Event>>());
    }
}

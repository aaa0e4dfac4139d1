//! The ids of events in flight: the ledger does not keep them, and a delivery report does not bring them back.
//!
//! A window beside the ledger's own, by ticket, and only where an outbox keeps its delivery state. An id of up to 38 bytes, which
//! a UUID's 36 are, lies in the window itself: nothing is allocated per event.

use std::collections::VecDeque;

use outbox_decoder::Lsn;

use crate::pipeline::Ticket;

const INLINE_BYTES: usize = 38;

/// An event in flight, by what is noted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId {
    /// The commit of its row.
    pub commit_lsn: Lsn,
    /// Which of the decoder's tables the row is from.
    pub outbox: u16,
    id: Id,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Boxed(Box<[u8]>),
}

impl EventId {
    fn new(outbox: u16, id: &[u8], commit_lsn: Lsn) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        let id = match (bytes.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(id);
                Id::Inline { length, bytes }
            }
            _ => Id::Boxed(id.into()),
        };
        Self { commit_lsn, outbox, id }
    }

    /// The idempotency key.
    pub fn id(&self) -> &[u8] {
        match &self.id {
            Id::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Id::Boxed(bytes) => bytes,
        }
    }
}

/// The ids of events in flight, by ticket.
#[derive(Debug, Default)]
pub struct EventIds {
    first: u64,
    window: VecDeque<Option<EventId>>,
}

impl EventIds {
    /// Remembers an event that goes on its way. Tickets come in their order; one that is sent once more is known already.
    pub fn put(&mut self, ticket: Ticket, outbox: u16, id: &[u8], commit_lsn: Lsn) {
        let ticket = ticket.as_u64();
        if self.window.is_empty() {
            self.first = self.first.max(ticket);
        }
        let Some(place) = ticket
            .checked_sub(self.first)
            .and_then(|place| usize::try_from(place).ok())
        else {
            return;
        };
        // Those between belong to outboxes that keep nothing.
        while self.window.len() <= place {
            self.window.push_back(None);
        }
        self.window[place].get_or_insert_with(|| EventId::new(outbox, id, commit_lsn));
    }

    /// The event of a ticket, which stays in flight.
    pub fn get(&self, ticket: Ticket) -> Option<&EventId> {
        let place = usize::try_from(ticket.as_u64().checked_sub(self.first)?).ok()?;
        self.window.get(place)?.as_ref()
    }

    /// The event of a ticket, which has arrived; `None` for one that was never put in, or has been taken.
    pub fn take(&mut self, ticket: Ticket) -> Option<EventId> {
        let place = usize::try_from(ticket.as_u64().checked_sub(self.first)?).ok()?;
        let event = self.window.get_mut(place)?.take();
        while let Some(None) = self.window.front() {
            self.window.pop_front();
            self.first += 1;
        }
        event
    }

    /// How many places it holds, for bounds and figures: as many as there are tickets between the oldest and the newest.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
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
            ids.put(ticket(number), 0, number.to_string().as_bytes(), Lsn::new(number));
        }
        ids
    }

    #[test]
    fn an_id_is_found_by_its_ticket_once_in_whatever_order_they_arrive() {
        let mut ids = filled(5..10);
        for number in [7, 5, 9, 6, 8] {
            let event = ids.take(ticket(number)).expect("an event");
            assert_eq!(
                (event.id(), event.commit_lsn),
                (number.to_string().as_bytes(), Lsn::new(number))
            );
            assert_eq!(ids.take(ticket(number)), None, "once");
        }
        assert!(ids.is_empty());
    }

    #[test]
    fn the_window_is_no_longer_than_from_the_oldest_to_the_newest() {
        let mut ids = filled(0..100);
        for number in (1..100).rev() {
            ids.take(ticket(number));
        }
        assert_eq!(ids.len(), 100, "the oldest is in flight");
        ids.take(ticket(0));
        assert_eq!(ids.len(), 0);
        ids.put(ticket(100_000), 1, b"x", Lsn::ZERO);
        assert_eq!(ids.len(), 1, "tickets of other outboxes take no place before the first");
    }

    #[test]
    fn an_event_that_is_sent_once_more_is_the_same_one() {
        let mut ids = filled(0..3);
        ids.put(ticket(1), 9, b"another", Lsn::ZERO);
        ids.take(ticket(0));
        ids.put(ticket(0), 9, b"late", Lsn::ZERO);
        assert_eq!(ids.take(ticket(0)), None);
        assert_eq!(ids.get(ticket(1)).map(EventId::id), Some(&b"1"[..]));
        assert_eq!(ids.take(ticket(1)).map(|event| event.outbox), Some(0));
    }

    #[test]
    fn an_id_of_any_length_comes_back_as_it_was() {
        let mut ids = EventIds::default();
        for (number, length) in (0..).zip([0, 36, INLINE_BYTES, INLINE_BYTES + 1, 300]) {
            let id = vec![b'x'; length];
            ids.put(ticket(number), 0, &id, Lsn::ZERO);
            assert_eq!(ids.take(ticket(number)).expect("an event").id(), id);
        }
        assert!(size_of::<Option<EventId>>() <= 64, "{}", size_of::<Option<EventId>>());
    }
}

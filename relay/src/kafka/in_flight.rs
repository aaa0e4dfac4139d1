//! How much of a series of records is under way, when acknowledgements come in any order.

use std::collections::VecDeque;

/// Records by number, counted from 0.
#[derive(Debug)]
pub(super) struct InFlight {
    bytes_max: usize,
    records_max: usize,
    /// What each record takes, from the oldest that is not acknowledged on; `None` where it is.
    sizes: VecDeque<Option<usize>>,
    /// The number of the first of them.
    oldest: u64,
    bytes: usize,
    acknowledged: u64,
}

impl InFlight {
    pub(super) fn within(bytes_max: usize, records_max: usize) -> Self {
        Self {
            bytes_max,
            records_max,
            sizes: VecDeque::new(),
            oldest: 0,
            bytes: 0,
            acknowledged: 0,
        }
    }

    /// A record above the whole budget goes alone. What waits behind an older one of a slower partition counts as well.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.is_empty() || self.bytes + bytes <= self.bytes_max && self.sizes.len() < self.records_max
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// How many were sent; the next one has this number.
    pub(super) fn sent(&self) -> u64 {
        self.oldest + self.sizes.len() as u64
    }

    pub(super) fn unacknowledged(&self) -> u64 {
        self.sent() - self.acknowledged
    }

    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    pub(super) fn send(&mut self, bytes: usize) {
        self.sizes.push_back(Some(bytes));
        self.bytes += bytes;
    }

    /// A number that is not in flight changes nothing.
    pub(super) fn acknowledge(&mut self, number: u64) {
        let place = number
            .checked_sub(self.oldest)
            .and_then(|place| usize::try_from(place).ok());
        let size = place.and_then(|place| self.sizes.get_mut(place)).and_then(Option::take);
        let Some(bytes) = size else { return };
        self.bytes -= bytes;
        self.acknowledged += 1;
        while let Some(None) = self.sizes.front() {
            self.sizes.pop_front();
            self.oldest += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_in_any_order_make_room_and_are_counted_once() {
        let mut in_flight = InFlight::within(100, 10);
        for _ in 0..2 {
            assert!(in_flight.has_room_for(50));
            in_flight.send(50);
        }
        assert!(!in_flight.has_room_for(1));
        in_flight.acknowledge(1);
        in_flight.acknowledge(1);
        in_flight.acknowledge(7);
        assert!(in_flight.has_room_for(50) && in_flight.acknowledged() == 1 && in_flight.unacknowledged() == 1);
        in_flight.acknowledge(0);
        assert!(in_flight.is_empty() && in_flight.acknowledged() == 2 && in_flight.sent() == 2);
    }

    #[test]
    fn a_record_above_the_budget_goes_alone() {
        let mut in_flight = InFlight::within(100, 10);
        assert!(in_flight.has_room_for(1000));
        in_flight.send(1000);
        assert!(!in_flight.has_room_for(1));
    }

    #[test]
    fn records_that_wait_behind_an_older_one_count_against_the_bound() {
        let mut in_flight = InFlight::within(1000, 3);
        for _ in 0..3 {
            in_flight.send(1);
        }
        in_flight.acknowledge(2);
        assert!(!in_flight.has_room_for(1));
        in_flight.acknowledge(0);
        assert!(in_flight.has_room_for(1));
    }
}

//! Whether two carriers published the same records: each as often, and in one order for each key.
//!
//! Records are known by a hash of 128 bits, so memory follows the number of distinct records and keys, not their size
//! and not how often they were published.

use std::collections::HashMap;
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

/// What of a record must be the same. Headers and timestamps are each carrier's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Content<'r> {
    pub(super) key: Option<&'r [u8]>,
    pub(super) payload: Option<&'r [u8]>,
}

/// Everything that one carrier published.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    records: u64,
    copies: HashMap<u128, u32>,
    /// For each key, a hash over its records in their order.
    order: HashMap<u128, u128>,
}

impl Published {
    /// The next record; those of one key come in their order.
    pub(super) fn add(&mut self, content: Content<'_>) {
        let record = hash(&content);
        self.records += 1;
        *self.copies.entry(record).or_default() += 1;
        // Records without a key have no order among themselves.
        if let Some(key) = content.key {
            let so_far = self.order.entry(hash(key)).or_default();
            *so_far = hash(&(*so_far, record));
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn distinct_records(&self) -> usize {
        self.copies.len()
    }

    pub(super) fn keys(&self) -> usize {
        self.order.len()
    }

    fn copies_of(&self, content: Content<'_>) -> u32 {
        self.copies.get(&hash(&content)).copied().unwrap_or_default()
    }
}

/// What is different about a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It was not published as often.
    Copies { first: u32, second: u32 },
    /// Each record was published as often, but those of its key in another order.
    Order,
}

/// Two that are not the same.
pub(super) struct Comparison<'p> {
    first: &'p Published,
    second: &'p Published,
    are_copies_same: bool,
}

impl<'p> Comparison<'p> {
    /// `None` when both are the same.
    pub(super) fn of(first: &'p Published, second: &'p Published) -> Option<Comparison<'p>> {
        (first != second).then(|| Comparison {
            first,
            second,
            are_copies_same: first.copies == second.copies,
        })
    }

    /// What a record has to do with the difference.
    pub(super) fn about(&self, content: Content<'_>) -> Option<Difference> {
        let (first, second) = (self.first.copies_of(content), self.second.copies_of(content));
        if first != second {
            return Some(Difference::Copies { first, second });
        }
        // Where records are missing, the order of the others is different for that reason alone.
        let key = hash(content.key?);
        let other_order = self.are_copies_same && self.first.order.get(&key) != self.second.order.get(&key);
        other_order.then_some(Difference::Order)
    }
}

impl Difference {
    /// For a message; `places` are where the two published.
    pub(super) fn in_words(&self, places: [&str; 2]) -> String {
        match self {
            Difference::Copies { first, second } => {
                format!("is {first} times in {} and {second} times in {}", places[0], places[1])
            }
            Difference::Order => format!(
                "has a key whose records come in another order in {} than in {}",
                places[0], places[1]
            ),
        }
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u128 {
    let mut hasher = SipHasher13::new();
    value.hash(&mut hasher);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content<'r>(key: &'r str, payload: &'r str) -> Content<'r> {
        Content {
            key: Some(key.as_bytes()),
            payload: Some(payload.as_bytes()),
        }
    }

    fn published(records: &[(&str, &str)]) -> Published {
        let mut published = Published::default();
        for (key, payload) in records {
            published.add(content(key, payload));
        }
        published
    }

    #[test]
    fn keys_may_interleave_differently() {
        let one = published(&[("a", "1"), ("b", "1"), ("a", "2")]);
        let other = published(&[("a", "1"), ("a", "2"), ("b", "1")]);
        assert!(Comparison::of(&one, &other).is_none());
        assert_eq!((one.records(), one.distinct_records(), one.keys()), (3, 3, 2));
    }

    #[test]
    fn records_of_a_key_in_another_order_are_a_difference_of_that_key_alone() {
        let one = published(&[("a", "1"), ("a", "2"), ("b", "1")]);
        let other = published(&[("a", "2"), ("a", "1"), ("b", "1")]);
        let comparison = Comparison::of(&one, &other).expect("a difference");
        assert_eq!(comparison.about(content("a", "1")), Some(Difference::Order));
        assert_eq!(comparison.about(content("b", "1")), None);
    }

    #[test]
    fn a_repeated_record_is_a_difference_and_the_order_after_it_is_none() {
        let one = published(&[("a", "1"), ("a", "2")]);
        let other = published(&[("a", "1"), ("a", "1"), ("a", "2")]);
        let comparison = Comparison::of(&one, &other).expect("a difference");
        let difference = Difference::Copies { first: 1, second: 2 };
        assert_eq!(comparison.about(content("a", "1")), Some(difference));
        assert_eq!(comparison.about(content("a", "2")), None);
    }

    #[test]
    fn a_missing_record_is_a_difference_and_so_is_another_payload_or_key() {
        let one = published(&[("a", "1")]);
        for other in [published(&[]), published(&[("a", "2")]), published(&[("b", "1")])] {
            let comparison = Comparison::of(&one, &other).expect("a difference");
            let difference = Difference::Copies { first: 1, second: 0 };
            assert_eq!(comparison.about(content("a", "1")), Some(difference));
        }
    }

    #[test]
    fn bytes_do_not_move_between_key_and_payload_and_nothing_is_not_empty() {
        let one = published(&[("ab", "c")]);
        assert!(Comparison::of(&one, &published(&[("a", "bc")])).is_some());
        let of_nothing = |key, payload| {
            let mut published = Published::default();
            published.add(Content { key, payload });
            published
        };
        let (tombstone, empty) = (of_nothing(None, None), of_nothing(None, Some(&b""[..])));
        assert!(Comparison::of(&tombstone, &empty).is_some());
    }
}

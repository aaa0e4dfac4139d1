//! One record first: a broker has to know a producer in a partition before more than one batch may be under way there.
//!
//! An idempotent producer numbers its batches, and a broker that has seen one of them refuses any other than the next:
//! a batch behind a refused one is refused too. But of a producer that it does not know in a partition, a broker takes
//! **any** first number. If the very first batch is refused, those behind it are taken, and overtake it (found by a test
//! on Apache Kafka 4.2; `ProducerAppendInfo.checkSequence` accepts any sequence where there is no entry).
//!
//! Therefore a new producer sends a single record to a partition and waits for its acknowledgement before the next one
//! goes there. Records without a key have no order to keep, and do not wait.

use std::collections::HashMap;

use outbox_decoder::TopicName;

use crate::kafka::murmur2;
use crate::pipeline::Ticket;

/// Topics that are remembered. Beyond it everything is forgotten, which costs one more introduction each.
const TOPICS_MAX: usize = 4096;

/// Whether a record may be handed to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Now.
    Send,
    /// Now, and the topic's partitions have to be counted.
    SendAndCount,
    /// When the record before it is acknowledged.
    Wait,
}

/// What the brokers know of one producer.
#[derive(Debug, Default)]
pub(super) struct Introductions {
    topics: HashMap<TopicName, Topic>,
    waiting: HashMap<Ticket, TopicName>,
    /// The topic asked for last, if every partition of it knows the producer: the answer for almost every record.
    known: Option<TopicName>,
}

#[derive(Debug)]
enum Topic {
    /// The number of its partitions is not known: one record at a time.
    Uncounted { under_way: Option<(Ticket, u32)> },
    /// Introduced, or being introduced, partition by partition.
    Counted { partitions: Vec<Partition>, unknown: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Partition {
    Unknown,
    Waiting(Ticket),
    Known,
}

impl Introductions {
    /// Whether a record for this topic and key may go now.
    pub(super) fn verdict(&mut self, topic: &TopicName, key: Option<&[u8]>) -> Verdict {
        let Some(key) = key else { return Verdict::Send };
        if self.known.as_ref() == Some(topic) {
            return Verdict::Send;
        }
        match self.topics.get(topic) {
            None => Verdict::SendAndCount,
            Some(Topic::Counted { unknown: 0, .. }) => {
                self.known = Some(topic.clone());
                Verdict::Send
            }
            Some(Topic::Uncounted { under_way: None }) => Verdict::Send,
            Some(Topic::Uncounted { under_way: Some(_) }) => Verdict::Wait,
            Some(Topic::Counted { partitions, .. }) => match partition(partitions, murmur2::hash(key)) {
                Some(Partition::Waiting(_)) => Verdict::Wait,
                _ => Verdict::Send,
            },
        }
    }

    /// The producer has taken a record.
    pub(super) fn sent(&mut self, topic: &TopicName, key: Option<&[u8]>, ticket: Ticket) {
        let Some(key) = key else { return };
        let is_known = self.known.as_ref() == Some(topic);
        if is_known || matches!(self.topics.get(topic), Some(Topic::Counted { unknown: 0, .. })) {
            return;
        }
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            *self = Self::default();
        }
        let hash = murmur2::hash(key);
        match self
            .topics
            .entry(topic.clone())
            .or_insert(Topic::Uncounted { under_way: None })
        {
            Topic::Uncounted { under_way } => *under_way = Some((ticket, hash)),
            Topic::Counted { partitions, .. } => match partition_mut(partitions, hash) {
                Some(partition @ Partition::Unknown) => *partition = Partition::Waiting(ticket),
                _ => return,
            },
        }
        self.waiting.insert(ticket, topic.clone());
    }

    /// The topic has so many partitions.
    pub(super) fn counted(&mut self, topic: &TopicName, count: usize) {
        let Some(known) = self.topics.get_mut(topic) else {
            return;
        };
        let Topic::Uncounted { under_way } = *known else { return };
        let mut partitions = vec![Partition::Unknown; count];
        if let Some((ticket, hash)) = under_way
            && let Some(partition) = partition_mut(&mut partitions, hash)
        {
            *partition = Partition::Waiting(ticket);
        }
        *known = Topic::Counted {
            partitions,
            unknown: count,
        };
    }

    /// A record is acknowledged.
    pub(super) fn acknowledged(&mut self, ticket: Ticket) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(topic) = self.waiting.remove(&ticket) else {
            return;
        };
        match self.topics.get_mut(&topic) {
            Some(Topic::Uncounted { under_way }) => *under_way = None,
            Some(Topic::Counted { partitions, unknown }) => {
                let introduced = partitions
                    .iter_mut()
                    .filter(|partition| **partition == Partition::Waiting(ticket));
                for partition in introduced {
                    *partition = Partition::Known;
                    *unknown -= 1;
                }
            }
            None => {}
        }
    }

    /// Topics whose partitions are still to be counted.
    pub(super) fn uncounted(&self) -> impl Iterator<Item = &TopicName> {
        self.topics
            .iter()
            .filter(|(_, topic)| matches!(topic, Topic::Uncounted { .. }))
            .map(|(name, _)| name)
    }
}

fn partition(partitions: &[Partition], hash: u32) -> Option<Partition> {
    partitions.get((hash as usize).checked_rem(partitions.len())?).copied()
}

fn partition_mut(partitions: &mut [Partition], hash: u32) -> Option<&mut Partition> {
    let index = (hash as usize).checked_rem(partitions.len())?;
    partitions.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicName {
        "orders".parse().unwrap()
    }

    const fn ticket(number: u64) -> Ticket {
        Ticket::from_u64(number)
    }

    /// Two keys of one partition out of two, and one of the other.
    const SAME: [&[u8]; 2] = [b"21", b"a-little-bit-long-string"];

    fn other() -> &'static [u8] {
        let is_other = |key: &&[u8]| murmur2::hash(key) % 2 != murmur2::hash(SAME[0]) % 2;
        [&b"abc"[..], b"foobar", b"x", b"y", b"z"]
            .into_iter()
            .find(is_other)
            .unwrap()
    }

    #[test]
    fn the_second_record_of_a_partition_waits_for_the_first_and_the_third_for_nothing() {
        assert_eq!(murmur2::hash(SAME[0]) % 2, murmur2::hash(SAME[1]) % 2);
        let (mut known, topic) = (Introductions::default(), topic());
        assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::SendAndCount);
        known.sent(&topic, Some(SAME[0]), ticket(1));
        known.counted(&topic, 2);
        assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Wait);
        assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
        known.sent(&topic, Some(other()), ticket(2));
        known.acknowledged(ticket(1));
        assert_eq!(known.verdict(&topic, Some(SAME[1])), Verdict::Send);
        assert_eq!(known.verdict(&topic, Some(other())), Verdict::Wait);
        known.acknowledged(ticket(2));
        known.sent(&topic, Some(other()), ticket(3));
        assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
    }

    #[test]
    fn until_the_partitions_are_counted_one_record_is_under_way() {
        let (mut known, topic) = (Introductions::default(), topic());
        known.sent(&topic, Some(SAME[0]), ticket(1));
        assert_eq!(known.uncounted().count(), 1);
        assert_eq!(known.verdict(&topic, Some(other())), Verdict::Wait);
        known.acknowledged(ticket(1));
        assert_eq!(known.verdict(&topic, Some(other())), Verdict::Send);
        known.counted(&topic, 2);
        assert_eq!(known.uncounted().count(), 0);
        assert_eq!(known.verdict(&topic, Some(SAME[0])), Verdict::Send);
    }

    #[test]
    fn a_record_without_a_key_never_waits() {
        let (mut known, topic) = (Introductions::default(), topic());
        known.sent(&topic, Some(SAME[0]), ticket(1));
        assert_eq!(known.verdict(&topic, None), Verdict::Send);
    }
}

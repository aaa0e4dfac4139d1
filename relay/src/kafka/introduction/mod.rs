//! One record first: a broker has to know a producer in a partition before more than one batch may be under way there.
//!
//! An idempotent producer numbers its batches, and a broker that has seen one of them refuses any other than the next:
//! a batch behind a refused one is refused too. But of a producer that it does not know in a partition, a broker takes
//! **any** first number. If the very first batch is refused, those behind it are taken, and overtake it (found by a test
//! on Apache Kafka 4.2; `ProducerAppendInfo.checkSequence` accepts any sequence where there is no entry).
//!
//! Therefore a new producer sends a single record to a partition and waits for its acknowledgement before the next one
//! goes there. Records without a key have no order to keep, and do not wait.
//!
//! A broker forgets a producer that has been quiet in a partition for `producer.id.expiration.ms` (a day, if nobody
//! changed it), and a topic that is made anew knows nobody: so introductions are repeated now and then. While a
//! partition is busy, the broker knows the producer, and a repeated introduction only costs one round trip.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use outbox_decoder::TopicName;

use crate::kafka::murmur2;
use crate::pipeline::Ticket;

/// Topics that are remembered. Beyond it everything is forgotten, which costs one more introduction each.
const TOPICS_MAX: usize = 4096;
/// An introduction is good for so long.
const INTRODUCED_FOR: Duration = Duration::from_hours(1);
/// A topic may get more partitions; its number of partitions is good for so long.
const COUNTED_FOR: Duration = Duration::from_mins(1);
/// Without an answer a count is asked for again after this.
const COUNT_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// So many topics are counted at once.
const COUNTS_MAX: usize = 32;

#[cfg(test)]
thread_local! {
    /// A bug that the simulation plants: nobody is introduced.
    pub(crate) static NOBODY_IS_INTRODUCED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

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
#[derive(Debug)]
pub(super) struct Introductions {
    topics: HashMap<TopicName, Topic>,
    count_due: Instant,
    expire_at: Instant,
    waiting: HashMap<Ticket, TopicName>,
    /// The topic asked for last, if every partition of it knows the producer: the answer for almost every record.
    known: Option<TopicName>,
}

#[derive(Debug)]
struct Topic {
    partitions: Partitions,
    /// When its partitions are to be counted again.
    count_at: Instant,
}

#[derive(Debug, Hash)]
enum Partitions {
    /// Their number is not known: one record at a time.
    Uncounted { under_way: Option<(Ticket, u32)> },
    /// Introduced, or being introduced, one by one.
    Counted { partitions: Vec<Partition>, unknown: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Partition {
    Unknown,
    Waiting(Ticket),
    Known,
}

impl Introductions {
    /// For a producer that nobody knows.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            topics: HashMap::new(),
            count_due: now,
            expire_at: now + INTRODUCED_FOR,
            waiting: HashMap::new(),
            known: None,
        }
    }

    /// Whether a record for this topic and key may go now.
    pub(super) fn verdict(&mut self, topic: &TopicName, key: Option<&[u8]>) -> Verdict {
        let Some(key) = key else { return Verdict::Send };
        #[cfg(test)]
        if NOBODY_IS_INTRODUCED.get() {
            return Verdict::Send;
        }
        if self.known.as_ref() == Some(topic) {
            return Verdict::Send;
        }
        match self.topics.get(topic).map(|topic| &topic.partitions) {
            // Who is under way must be remembered, or a second record would follow it.
            None if self.topics.len() >= TOPICS_MAX && !self.waiting.is_empty() => Verdict::Wait,
            None => Verdict::SendAndCount,
            Some(Partitions::Counted { unknown: 0, .. }) => {
                self.known = Some(topic.clone());
                Verdict::Send
            }
            Some(Partitions::Uncounted { under_way: None }) => Verdict::Send,
            Some(Partitions::Uncounted { under_way: Some(_) }) => Verdict::Wait,
            Some(Partitions::Counted { partitions, .. }) => match partition(partitions, murmur2::hash(key)) {
                Some(Partition::Waiting(_)) => Verdict::Wait,
                _ => Verdict::Send,
            },
        }
    }

    /// The producer has taken a record.
    pub(super) fn sent(&mut self, topic: &TopicName, key: Option<&[u8]>, ticket: Ticket) {
        let Some(key) = key else { return };
        if self.known.as_ref() == Some(topic) {
            return;
        }
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(topic) {
            assert!(self.waiting.is_empty(), "a record that is under way would be forgotten");
            self.topics.clear();
        }
        let hash = murmur2::hash(key);
        let entry = self.topics.entry(topic.clone()).or_insert_with(|| Topic {
            partitions: Partitions::Uncounted { under_way: None },
            count_at: self.count_due + COUNT_AGAIN_AFTER,
        });
        match &mut entry.partitions {
            Partitions::Uncounted { under_way } => *under_way = Some((ticket, hash)),
            Partitions::Counted { partitions, .. } => match partition_mut(partitions, hash) {
                Some(partition @ Partition::Unknown) => *partition = Partition::Waiting(ticket),
                _ => return,
            },
        }
        self.waiting.insert(ticket, topic.clone());
    }

    /// The topic has so many partitions. A partition keeps its number when others are added.
    pub(super) fn counted(&mut self, topic: &TopicName, count: usize, now: Instant) {
        if count == 0 {
            self.is_gone(topic);
            return;
        }
        let Some(known) = self.topics.get_mut(topic) else {
            return;
        };
        known.count_at = now + COUNTED_FOR;
        let mut partitions = match &mut known.partitions {
            // Fewer: from a broker that is behind. librdkafka goes on with the larger number too.
            Partitions::Counted { partitions, .. } if partitions.len() >= count => return,
            Partitions::Counted { partitions, .. } => std::mem::take(partitions),
            Partitions::Uncounted { .. } => Vec::new(),
        };
        partitions.resize(count, Partition::Unknown);
        if let Partitions::Uncounted {
            under_way: Some((ticket, hash)),
        } = known.partitions
            && let Some(partition) = partition_mut(&mut partitions, hash)
        {
            *partition = Partition::Waiting(ticket);
        }
        known.partitions = counted(partitions);
        self.known = None;
    }

    /// When a topic of this name is there again, it is another one, and none of its partitions knows anybody. Who is
    /// under way stays so.
    fn is_gone(&mut self, topic: &TopicName) {
        self.known = None;
        let Some(known) = self.topics.get_mut(topic) else {
            return;
        };
        known.forget();
        if !known.is_waiting() {
            self.topics.remove(topic);
        }
    }

    /// A record is acknowledged.
    pub(super) fn acknowledged(&mut self, ticket: Ticket) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(topic) = self.waiting.remove(&ticket) else {
            return;
        };
        match self.topics.get_mut(&topic).map(|topic| &mut topic.partitions) {
            Some(Partitions::Uncounted { under_way }) => *under_way = None,
            Some(Partitions::Counted { partitions, unknown }) => {
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

    /// Forgets introductions that are too old, and says which topics are to be counted now.
    pub(super) fn renew(&mut self, now: Instant) -> Vec<TopicName> {
        if now >= self.expire_at {
            self.expire_at = now + INTRODUCED_FOR;
            self.forget();
        }
        if now < self.count_due {
            return Vec::new();
        }
        self.count_due = now + COUNT_AGAIN_AFTER;
        self.most_overdue(now)
    }

    /// Those that are not counted yet come first: their records wait for it.
    fn most_overdue(&mut self, now: Instant) -> Vec<TopicName> {
        let mut due: Vec<_> = self
            .topics
            .iter_mut()
            .filter(|(_, topic)| now >= topic.count_at)
            .collect();
        due.sort_unstable_by(|(name, topic), (other_name, other)| {
            let urgency = |topic: &Topic| (topic.is_counted(), topic.count_at);
            (urgency(topic), *name).cmp(&(urgency(other), *other_name))
        });
        let first = due.into_iter().take(COUNTS_MAX);
        first
            .map(|(name, topic)| {
                topic.count_at = now + COUNT_AGAIN_AFTER;
                name.clone()
            })
            .collect()
    }

    /// Nobody is known any more; who is under way stays so.
    fn forget(&mut self) {
        self.known = None;
        self.topics.values_mut().for_each(Topic::forget);
    }

    /// Who is known, without times, for the simulation that visits every state.
    #[cfg(test)]
    pub(super) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;

        let topics = self.topics.iter().map(|(name, topic)| (name, &topic.partitions));
        let mut topics: Vec<_> = topics.collect();
        topics.sort_unstable_by_key(|(name, _)| *name);
        (topics, self.waiting.len()).hash(hasher);
    }
}

impl Topic {
    fn forget(&mut self) {
        if let Partitions::Counted { partitions, .. } = &mut self.partitions {
            for partition in &mut *partitions {
                if *partition == Partition::Known {
                    *partition = Partition::Unknown;
                }
            }
            self.partitions = counted(std::mem::take(partitions));
        }
    }

    const fn is_counted(&self) -> bool {
        matches!(self.partitions, Partitions::Counted { .. })
    }

    fn is_waiting(&self) -> bool {
        match &self.partitions {
            Partitions::Uncounted { under_way } => under_way.is_some(),
            Partitions::Counted { partitions, .. } => partitions
                .iter()
                .any(|partition| matches!(partition, Partition::Waiting(_))),
        }
    }
}

fn counted(partitions: Vec<Partition>) -> Partitions {
    let unknown = partitions
        .iter()
        .filter(|partition| **partition != Partition::Known)
        .count();
    Partitions::Counted { partitions, unknown }
}

fn partition(partitions: &[Partition], hash: u32) -> Option<Partition> {
    partitions.get((hash as usize).checked_rem(partitions.len())?).copied()
}

fn partition_mut(partitions: &mut [Partition], hash: u32) -> Option<&mut Partition> {
    let index = (hash as usize).checked_rem(partitions.len())?;
    partitions.get_mut(index)
}

#[cfg(test)]
mod tests;

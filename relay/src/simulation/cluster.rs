//! Kafka, as far as an idempotent producer sees it: each partition takes the batches of a producer in the order of their
//! numbers, **any** first number of a producer that it does not know, and a batch that it has had before without writing it
//! twice.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use rdkafka::error::RDKafkaErrorCode;

use super::judge::Judge;

/// Partitions of each topic.
pub(super) const PARTITIONS: usize = 2;

/// A partition: topic and number.
pub(super) type Partition = (u8, usize);

/// What a batch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: u32,
    pub(super) topic: u8,
    pub(super) key: u8,
}

/// A batch on its way to a partition.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) producer: u64,
    pub(super) first_number: u32,
    pub(super) records: Vec<Record>,
}

/// What a broker says to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is readable.
    Taken,
    /// Not now; librdkafka sends it again by itself.
    Later,
    /// No.
    Refused(RDKafkaErrorCode),
}

#[derive(Debug, Default)]
struct Log {
    /// The next number of each producer that the partition knows.
    producers: HashMap<u64, u32>,
    /// Sent by producers that were given up or killed, and still on the wire.
    ghosts: VecDeque<Batch>,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    logs: HashMap<Partition, Log>,
    /// What is answered to every batch of a topic, for so many of them.
    pub(super) mood: Option<(u8, Answer, u32)>,
    /// A row that a topic refuses, as one that is too large.
    pub(super) poison: Option<u32>,
    pub(super) judge: Judge,
    pub(super) appended: u64,
    pub(super) refused: u64,
    pub(super) ghosts_taken: u64,
}

impl Cluster {
    /// A partition's leader deals with a batch.
    pub(super) fn handle(&mut self, partition: Partition, batch: &Batch) -> Answer {
        if let Some((topic, answer, left)) = &mut self.mood
            && *topic == partition.0
        {
            let answer = *answer;
            *left -= 1;
            if *left == 0 {
                self.mood = None;
            }
            self.refused += 1;
            return answer;
        }
        if self
            .poison
            .is_some_and(|poison| batch.records.iter().any(|record| record.id == poison))
        {
            self.refused += 1;
            return Answer::Refused(RDKafkaErrorCode::MessageSizeTooLarge);
        }
        self.number(partition, batch)
    }

    fn number(&mut self, partition: Partition, batch: &Batch) -> Answer {
        let log = self.logs.entry(partition).or_default();
        let next = log.producers.entry(batch.producer).or_insert(batch.first_number);
        let count = u32::try_from(batch.records.len()).expect("a small batch");
        if batch.first_number > *next {
            return Answer::Refused(RDKafkaErrorCode::OutOfOrderSequenceNumber);
        }
        if batch.first_number + count <= *next {
            // It has had this one: the acknowledgement was lost.
            return Answer::Taken;
        }
        assert_eq!(batch.first_number, *next, "a batch was cut anew");
        *next += count;
        for record in &batch.records {
            self.judge.appended(record.id, record.topic, record.key);
            self.appended += 1;
        }
        Answer::Taken
    }

    /// Nobody waits for the answer to this batch any more.
    pub(super) fn leave_behind(&mut self, partition: Partition, batch: Batch) {
        self.logs.entry(partition).or_default().ghosts.push_back(batch);
    }

    /// The oldest batch that was left behind in a partition arrives, or its connection ends and all of them are gone.
    pub(super) fn ghost(&mut self, partition: Partition, arrives: bool) {
        let Some(log) = self.logs.get_mut(&partition) else {
            return;
        };
        if !arrives {
            log.ghosts.clear();
        } else if let Some(batch) = log.ghosts.pop_front() {
            self.ghosts_taken += 1;
            self.judge.is_late = true;
            if self.handle(partition, &batch) == Answer::Taken {
                batch
                    .records
                    .iter()
                    .for_each(|record| self.judge.arrived_late(record.id));
            }
            self.judge.is_late = false;
        }
    }

    /// What was left behind in a partition and would still change what can be read. A batch behind it that only repeats
    /// is as good as gone.
    pub(super) fn telling_ghosts(&self, partition: Partition) -> Vec<&Batch> {
        let ghosts = self.logs.get(&partition).into_iter().flat_map(|log| &log.ghosts);
        let mut ghosts: Vec<&Batch> = ghosts.collect();
        let is_new = |record: &Record| !self.judge.has_read(record.id);
        let telling = ghosts.iter().rposition(|batch| batch.records.iter().any(is_new));
        ghosts.truncate(telling.map_or(0, |last| last + 1));
        ghosts
    }

    /// What decides how it goes on, with producers counted back from the newest one. Of an earlier one nothing is known
    /// for long: only whoever has left something behind will be heard of again.
    pub(super) fn digest(&self, newest: u64, hasher: &mut impl Hasher) {
        self.judge.digest(hasher);
        for partition in Self::partitions() {
            let ghosts = self.telling_ghosts(partition);
            let matters = |id: u64| id == newest || ghosts.iter().any(|ghost| ghost.producer == id);
            let known = self.logs.get(&partition).into_iter().flat_map(|log| &log.producers);
            let known = known.filter(|(id, _)| matters(**id));
            let mut numbers: Vec<_> = known.map(|(id, next)| (newest.wrapping_sub(*id), *next)).collect();
            numbers.sort_unstable();
            (partition, numbers, ghosts.len()).hash(hasher);
            for ghost in ghosts {
                let ids = ghost.records.iter().map(|record| record.id);
                let ids: Vec<u32> = ids.collect();
                (newest.wrapping_sub(ghost.producer), ghost.first_number, ids).hash(hasher);
            }
        }
    }

    pub(super) fn partitions() -> impl Iterator<Item = Partition> {
        (0..2).flat_map(|topic| (0..PARTITIONS).map(move |number| (topic, number)))
    }
}

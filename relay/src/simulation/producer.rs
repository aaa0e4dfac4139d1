//! A producer as librdkafka is one: a queue for each partition, a few numbered batches under way, retries that keep their
//! numbers, and the end at the first batch that fails for good (`enable.gapless.guarantee`).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use outbox_decoder::{Envelope, Text, TopicName};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::{Message, Timestamp};

use super::cluster::{Answer, Batch, Cluster, PARTITIONS, Partition, Record};
use super::mutation::Mutation;
use crate::kafka::simulated::{Batching, Failed, NotTaken, Produce, Producers, Reports, StartError, hash};
use crate::pipeline::Ticket;

const IN_FLIGHT_MAX: usize = 5;
const BATCH_MAX: usize = 3;

#[derive(Debug)]
struct Queued {
    ticket: Ticket,
    record: Record,
    message: OwnedMessage,
}

impl Queued {
    fn comes_back(self, code: RDKafkaErrorCode) -> Failed {
        Failed {
            ticket: self.ticket,
            code,
            may_be_persisted: code == RDKafkaErrorCode::PurgeInflight,
            record: self.message,
            kept: None,
        }
    }
}

#[derive(Debug)]
struct UnderWay {
    batch: Batch,
    queued: Vec<Queued>,
    /// The leader has dealt with it, and this is on its way back.
    answer: Option<Answer>,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Queued>,
    under_way: VecDeque<UnderWay>,
    next_number: u32,
}

/// One producer's inside.
#[derive(Debug)]
pub(super) struct Inside {
    id: u64,
    is_isolating: bool,
    reports: Arc<Reports>,
    lanes: BTreeMap<Partition, Lane>,
    fatal: Option<RDKafkaErrorCode>,
    asked_for: VecDeque<TopicName>,
    mutation: Option<Mutation>,
    is_full: bool,
    /// The row that was acknowledged last.
    pub(super) newest_arrival: Option<u32>,
}

/// Makes them. All share one cluster; the newest is the one in use.
#[derive(Clone)]
pub(super) struct Simulated {
    pub(super) cluster: Rc<RefCell<Cluster>>,
    pub(super) newest: Rc<RefCell<Option<Rc<RefCell<Inside>>>>>,
    pub(super) made: Rc<RefCell<u64>>,
    pub(super) mutation: Option<Mutation>,
    /// A row that the producer does not take.
    pub(super) too_large: Rc<RefCell<Option<u32>>>,
}

pub(super) struct Handle {
    inside: Rc<RefCell<Inside>>,
    cluster: Rc<RefCell<Cluster>>,
    too_large: Rc<RefCell<Option<u32>>>,
}

impl Handle {
    fn check(&self, message: &OwnedMessage) -> Result<(), NotTaken> {
        if *self.too_large.borrow() == Some(record_of(message).id) {
            return Err(NotTaken::Record(RDKafkaErrorCode::MessageSizeTooLarge));
        }
        Ok(())
    }
}

impl Producers for Simulated {
    type Producer = Handle;

    fn open(&self, batching: Batching, reports: &Arc<Reports>) -> Result<Handle, StartError> {
        *self.made.borrow_mut() += 1;
        let inside = Rc::new(RefCell::new(Inside {
            id: *self.made.borrow(),
            is_isolating: batching == Batching::Isolating,
            reports: Arc::clone(reports),
            lanes: BTreeMap::new(),
            fatal: None,
            asked_for: VecDeque::new(),
            mutation: self.mutation,
            is_full: false,
            newest_arrival: None,
        }));
        *self.newest.borrow_mut() = Some(Rc::clone(&inside));
        Ok(Handle {
            inside,
            cluster: Rc::clone(&self.cluster),
            too_large: Rc::clone(&self.too_large),
        })
    }

    fn is_outdated(&self, _: &Handle) -> bool {
        false
    }
}

impl Produce for Handle {
    fn send(&self, ticket: Ticket, envelope: &Envelope<'_>) -> Result<(), NotTaken> {
        let mut headers = OwnedHeaders::new();
        envelope.for_each_header(|key, value| {
            headers = std::mem::take(&mut headers).insert(Header {
                key,
                value: Some(value),
            });
        });
        let bytes = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_bytes().to_vec());
        let (key, value) = (bytes(&envelope.key), bytes(&envelope.payload));
        let topic = envelope.topic.as_str().to_owned();
        let message = OwnedMessage::new(value, key, topic, Timestamp::NotAvailable, 0, 0, Some(headers));
        self.check(&message)?;
        self.inside.borrow_mut().take(ticket, message)
    }

    fn send_again(&self, ticket: Ticket, message: &OwnedMessage, _: Option<i64>) -> Result<(), NotTaken> {
        self.check(message)?;
        let mut inside = self.inside.borrow_mut();
        if inside.mutation == Some(Mutation::DropsWhatWasPurged) {
            inside.reports.acknowledged(ticket);
            return Ok(());
        }
        inside.take(ticket, message.clone())?;
        if inside.mutation == Some(Mutation::ResendsNewestFirst) {
            for lane in inside.lanes.values_mut() {
                if let Some(last) = lane.queue.pop_back() {
                    lane.queue.push_front(last);
                }
            }
        }
        Ok(())
    }

    fn count_partitions(&self, topic: TopicName) {
        self.inside.borrow_mut().asked_for.push_back(topic);
    }

    fn is_late(&self) -> bool {
        false
    }

    fn fatal_error(&self) -> Option<RDKafkaErrorCode> {
        self.inside.borrow().fatal
    }

    /// It reports whenever the seed says so.
    fn poll(&self) {}

    fn purge(&self) {
        self.inside.borrow_mut().purge(&mut self.cluster.borrow_mut());
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inside.borrow_mut().purge(&mut self.cluster.borrow_mut());
    }
}

impl Inside {
    fn take(&mut self, ticket: Ticket, message: OwnedMessage) -> Result<(), NotTaken> {
        if self.fatal.is_some() {
            return Err(NotTaken::Fatal);
        }
        if self.is_full {
            return Err(NotTaken::Full);
        }
        let record = record_of(&message);
        let number = hash(message.key().unwrap_or_default()) as usize % PARTITIONS;
        let lane = self.lanes.entry((record.topic, number)).or_default();
        lane.queue.push_back(Queued {
            ticket,
            record,
            message,
        });
        Ok(())
    }

    /// The queue takes nothing for a while, or does again.
    pub(super) const fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// The brokers say how many partitions a topic has.
    pub(super) fn answer_count(&mut self) {
        if let Some(topic) = self.asked_for.pop_front() {
            self.reports.counted(topic, PARTITIONS);
        }
    }

    /// Sends the next batch of a partition.
    pub(super) fn transmit(&mut self, partition: Partition, random: &mut Rng) {
        let most = if self.is_isolating {
            1
        } else {
            random.usize(1..=BATCH_MAX)
        };
        let (id, is_over) = (self.id, self.fatal.is_some());
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        if is_over || lane.queue.is_empty() || lane.under_way.len() >= IN_FLIGHT_MAX {
            return;
        }
        let taken = most.min(lane.queue.len());
        let queued: Vec<Queued> = lane.queue.drain(..taken).collect();
        let batch = Batch {
            producer: id,
            first_number: lane.next_number,
            records: queued.iter().map(|queued| queued.record).collect(),
        };
        lane.next_number += u32::try_from(taken).expect("a small batch");
        lane.under_way.push_back(UnderWay {
            batch,
            queued,
            answer: None,
        });
    }

    /// The leader deals with the oldest batch that it has not dealt with.
    pub(super) fn handle(&mut self, partition: Partition, cluster: &mut Cluster) {
        let lane = self.lanes.get_mut(&partition);
        let waiting = lane.and_then(|lane| lane.under_way.iter_mut().find(|under_way| under_way.answer.is_none()));
        if let Some(under_way) = waiting {
            under_way.answer = Some(cluster.handle(partition, &under_way.batch));
        }
    }

    /// The oldest answer arrives.
    pub(super) fn respond(&mut self, partition: Partition) {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        let Some(answer) = lane.under_way.front().and_then(|first| first.answer) else {
            return;
        };
        match answer {
            Answer::Later => {
                // Those behind it were refused for their numbers, and go again too.
                lane.under_way.iter_mut().for_each(|under_way| under_way.answer = None);
            }
            Answer::Taken => {
                for queued in lane.under_way.pop_front().into_iter().flat_map(|first| first.queued) {
                    self.newest_arrival = Some(queued.record.id);
                    self.reports.acknowledged(queued.ticket);
                }
            }
            Answer::Refused(code) => {
                for queued in lane.under_way.pop_front().into_iter().flat_map(|first| first.queued) {
                    self.reports.failed(queued.comes_back(code));
                }
                if self.mutation == Some(Mutation::GoesOnAfterFailure) {
                    self.go_on(partition);
                } else {
                    self.die(RDKafkaErrorCode::GaplessGuarantee);
                }
            }
        }
    }

    /// Without the gapless guarantee librdkafka numbers anew and goes on.
    fn go_on(&mut self, partition: Partition) {
        self.id += 1_000_000;
        if let Some(lane) = self.lanes.get_mut(&partition) {
            for under_way in &mut lane.under_way {
                under_way.answer = None;
                under_way.batch.producer = self.id;
            }
        }
    }

    /// Something goes wrong beyond repair.
    pub(super) fn die(&mut self, code: RDKafkaErrorCode) {
        self.fatal.get_or_insert(code);
        self.reports.erred();
    }

    /// The connection to a leader ends: what was not dealt with goes again, and so does that whose answer is lost.
    pub(super) fn disconnect(&mut self, partition: Partition) {
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.under_way.iter_mut().for_each(|under_way| under_way.answer = None);
        }
    }

    /// Whether something of a partition waits to be sent, to be dealt with, to be answered.
    pub(super) fn waiting(&self, partition: Partition) -> [bool; 3] {
        let Some(lane) = self.lanes.get(&partition) else {
            return [false; 3];
        };
        let is_answered = |under_way: &UnderWay| under_way.answer.is_some();
        [
            !lane.queue.is_empty(),
            !lane.under_way.iter().all(is_answered),
            lane.under_way.front().is_some_and(is_answered),
        ]
    }

    /// What decides how it goes on.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        let records = |queued: &Queued| (queued.ticket, queued.record.id);
        for (partition, lane) in &self.lanes {
            let queue: Vec<_> = lane.queue.iter().map(records).collect();
            (partition, lane.next_number, queue, lane.under_way.len()).hash(hasher);
            for under_way in &lane.under_way {
                let queued: Vec<_> = under_way.queued.iter().map(records).collect();
                (under_way.batch.first_number, under_way.answer.is_some(), queued).hash(hasher);
            }
        }
        (self.lanes.len(), self.asked_for.len(), self.fatal.is_some()).hash(hasher);
        // Only a bug remembers it.
        let newest_arrival = self.mutation.and(self.newest_arrival);
        newest_arrival.hash(hasher);
    }

    /// Gives everything up. What is on the wire may arrive all the same.
    fn purge(&mut self, cluster: &mut Cluster) {
        for (partition, lane) in &mut self.lanes {
            for under_way in lane.under_way.drain(..) {
                for queued in under_way.queued {
                    self.reports.failed(queued.comes_back(RDKafkaErrorCode::PurgeInflight));
                }
                if under_way.answer.is_none() {
                    cluster.leave_behind(*partition, under_way.batch);
                }
            }
            for queued in lane.queue.drain(..) {
                self.reports.failed(queued.comes_back(RDKafkaErrorCode::PurgeQueue));
            }
        }
    }
}

fn record_of(message: &OwnedMessage) -> Record {
    let headers = message.headers().expect("every record has headers");
    let id = headers
        .iter()
        .find(|header| header.key == "id")
        .and_then(|header| header.value);
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    Record {
        id: id
            .and_then(|id| std::str::from_utf8(id).ok()?.parse().ok())
            .expect("a row's id"),
        topic: number(&message.topic().as_bytes()[1..]).expect("t0 or t1"),
        key: message.key().and_then(|key| number(&key[1..])).expect("k0 to k3"),
    }
}

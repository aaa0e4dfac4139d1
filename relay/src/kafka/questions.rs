//! Questions to the brokers that have to be waited for, on a thread of their own: the loop cannot afford that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use outbox_decoder::TopicName;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::config::KafkaSettings;
use crate::kafka::certificate;
use crate::kafka::reports::{Brokers, Callbacks, Reports};

const TOPICS_WAITING_MAX: usize = 64;
const CHECK_EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked after whether there is something to ask, or nobody left to answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks on behalf of one producer, until that is given up.
pub(super) struct Questions {
    client: Arc<BaseProducer<Callbacks>>,
    kafka: KafkaSettings,
    reports: Arc<Reports>,
    stopping: Arc<AtomicBool>,
    started_at: Instant,
    check_at: Instant,
    /// A topic that this producer sends to: the smallest question that only a live broker can answer.
    topic: Option<TopicName>,
}

impl Questions {
    /// Starts the thread; topics that are sent to it are counted, and the answer is a report.
    pub(super) fn start(
        client: Arc<BaseProducer<Callbacks>>,
        kafka: KafkaSettings,
        reports: Arc<Reports>,
        stopping: Arc<AtomicBool>,
    ) -> std::io::Result<SyncSender<TopicName>> {
        let (to_count, topics) = sync_channel(TOPICS_WAITING_MAX);
        let now = Instant::now();
        let questions = Self {
            client,
            kafka,
            reports,
            stopping,
            started_at: now,
            check_at: now,
            topic: None,
        };
        let run = move || questions.run(&topics);
        thread::Builder::new().name("kafka-ask".to_owned()).spawn(run)?;
        Ok(to_count)
    }

    fn run(mut self, topics: &Receiver<TopicName>) {
        while !self.is_stopping() {
            match topics.recv_timeout(LOOK_EVERY) {
                Ok(topic) => self.count(topic),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.settle_doubt();
            self.look_after_brokers();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// A topic without partitions is none, at the moment.
    fn count(&mut self, topic: TopicName) {
        let partitions = self.partitions(&topic);
        self.topic = Some(topic.clone());
        if let Some(partitions) = partitions
            && !self.is_stopping()
        {
            self.reports.counted(topic, partitions);
            if !self.reports.are_brokers_up() {
                self.reports.brokers_answered();
            }
        }
    }

    fn partitions(&self, topic: &TopicName) -> Option<usize> {
        let metadata = self.client.client().fetch_metadata(Some(topic.as_str()), ANSWER_WITHIN);
        Some(metadata.ok()?.topics().first()?.partitions().len())
    }

    fn look_after_brokers(&mut self) {
        let now = Instant::now();
        let do_answer = match self.reports.brokers() {
            Brokers::Up => return,
            // At the start the answer to the producer's own first question is enough, without another one.
            Brokers::Unknown => match self.client.client().fetch_cluster_id(Duration::ZERO) {
                None if now.duration_since(self.started_at) < ANSWER_WITHIN => return,
                cluster_id => cluster_id.is_some(),
            },
            Brokers::Suspect(_) | Brokers::Down(_) if now < self.check_at => return,
            Brokers::Suspect(_) | Brokers::Down(_) => {
                self.check_at = now + CHECK_EVERY;
                self.explain();
                self.do_brokers_answer()
            }
        };
        if self.is_stopping() {
            return;
        }
        if do_answer {
            self.reports.brokers_answered();
        } else {
            self.reports.brokers_are_silent();
        }
    }

    /// Asks a broker that may expect something else than it gets. One of several may hold records back.
    fn settle_doubt(&self) {
        if let Some(doubt) = self.reports.take_doubt()
            && doubt.expectation.is_of(&doubt.address)
            && !self.is_stopping()
        {
            self.reports.refused(doubt.fault);
        }
    }

    /// Says of a certificate that was refused what is wrong with it.
    fn explain(&self) {
        let address = self.reports.take_refused_certificate();
        if let Some(fault) = address.and_then(|address| certificate::fault(&address, &self.kafka)) {
            self.reports.explain(fault);
        }
    }

    /// A producer that has sent nothing yet knows no topic to ask for, and librdkafka knows no smaller question than for
    /// all of them: that happens once, when the brokers come back.
    fn do_brokers_answer(&self) -> bool {
        let topic = self.topic.as_ref().map(TopicName::as_str);
        self.client.client().fetch_metadata(topic, ANSWER_WITHIN).is_ok()
    }
}

//! Where a topic ends: the broker's own word for what is published.

use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// A topic that is watched from outside.
pub(crate) struct Topic {
    name: String,
    bootstrap_servers: String,
    consumer: BaseConsumer,
    question: TopicPartitionList,
}

impl Topic {
    /// Waits until the brokers of a topic that has just been made know that it is theirs.
    pub(crate) fn watch(
        bootstrap_servers: &str,
        name: &str,
        partitions: i32,
        interrupt: &Interrupt,
    ) -> Result<Topic, Failure> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?;
        let mut question = TopicPartitionList::new();
        for partition in 0..partitions {
            // Asked "for the time of the end", a broker answers for all of its partitions in one go.
            question.add_partition_offset(name, partition, Offset::End)?;
        }
        let topic = Topic {
            name: name.to_owned(),
            bootstrap_servers: bootstrap_servers.to_owned(),
            consumer,
            question,
        };
        let begin = Instant::now();
        while let Err(failure) = topic.ends() {
            if begin.elapsed() > ANSWER_LIMIT {
                return Err(failure);
            }
            interrupt.pass(ASK_AGAIN)?;
        }
        Ok(topic)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many records the topic has taken, over all of its partitions.
    pub(crate) fn records(&self) -> Result<i64, Failure> {
        let ends = self.ends()?;
        let offsets = ends
            .elements()
            .into_iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(end) => Some(end),
                _ => None,
            });
        Ok(offsets.sum())
    }

    /// The end of each partition.
    fn ends(&self) -> Result<TopicPartitionList, Failure> {
        let answer = self.consumer.offsets_for_times(self.question.clone(), ANSWER_LIMIT)?;
        for element in answer.elements() {
            element.error()?;
        }
        Ok(answer)
    }

    /// A consumer for the last records, at most so many of each partition, and how many those are.
    pub(crate) fn last(&self, of_partition: i64) -> Result<(BaseConsumer, i64), Failure> {
        let mut from = TopicPartitionList::new();
        let mut records = 0;
        for element in self.ends()?.elements() {
            if let Offset::Offset(end) = element.offset() {
                let begin = (end - of_partition).max(0);
                from.add_partition_offset(element.topic(), element.partition(), Offset::Offset(begin))?;
                records += end - begin;
            }
        }
        let consumer = self.consumer()?;
        consumer.assign(&from)?;
        Ok((consumer, records))
    }

    /// A consumer for whatever comes from now on, which gets each record as soon as the broker has it.
    pub(crate) fn follow(&self) -> Result<BaseConsumer, Failure> {
        let consumer = self.consumer()?;
        // Asked for "the end", it would look that up later, and miss what came until then.
        consumer.assign(&self.ends()?)?;
        Ok(consumer)
    }

    fn consumer(&self) -> Result<BaseConsumer, Failure> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "10")
            .set("socket.nagle.disable", "true")
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?)
    }
}

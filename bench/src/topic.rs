//! Where a topic ends: the broker's own word for what is published.

use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::failure::Failure;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A topic that is watched from outside.
pub(crate) struct Topic {
    consumer: BaseConsumer,
    question: TopicPartitionList,
}

impl Topic {
    pub(crate) fn watch(bootstrap_servers: &str, name: &str, partitions: i32) -> Result<Topic, Failure> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?;
        let mut question = TopicPartitionList::new();
        for partition in 0..partitions {
            // Asked "for the time of the end", a broker answers for all of its partitions in one go.
            question.add_partition_offset(name, partition, Offset::End)?;
        }
        Ok(Topic { consumer, question })
    }

    /// How many records the topic has taken, over all of its partitions.
    pub(crate) fn records(&self) -> Result<i64, Failure> {
        let answer = self.consumer.offsets_for_times(self.question.clone(), ANSWER_LIMIT)?;
        let mut records = 0;
        for element in answer.elements() {
            element.error()?;
            if let Offset::Offset(end) = element.offset() {
                records += end;
            }
        }
        Ok(records)
    }
}

//! Somebody else's producer, to know when the brokers take records again.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::failure::{Failure, Outcome};
use crate::scenario::Scenario;
use crate::wait::wait_for;

/// Writes to a topic of its own, whose partitions are spread as those of the relay's topic are.
pub(super) struct Probe {
    producer: BaseProducer,
    topic: String,
    /// The end of each partition, by number.
    ends: Vec<i64>,
}

impl Probe {
    pub(super) fn of(scenario: &Scenario, partitions: i32, topic_config: &[(&str, &str)]) -> Outcome<Probe> {
        let topic = format!("{}_probe", scenario.name());
        scenario.servers.topics()?.create(&topic, partitions, topic_config)?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", scenario.servers.bootstrap_servers()?)
            .set("acks", "all")
            .set("message.timeout.ms", "1000")
            .set("reconnect.backoff.max.ms", "200")
            .set_log_level(RDKafkaLogLevel::Emerg)
            .create()?;
        let mut probe = Probe {
            producer,
            topic,
            ends: Vec::new(),
        };
        let ends = (0..partitions).map(|partition| probe.end(partition));
        probe.ends = ends
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::new("the probe has no topic"))?;
        Ok(probe)
    }

    /// Until a new record is in every partition: a broker that answers does not yet take records.
    pub(super) fn wait_until_taken(&mut self) -> Outcome {
        let mut waiting: BTreeSet<usize> = (0..self.ends.len()).collect();
        wait_for("a probe to be taken in each partition", || {
            for &partition in &waiting {
                let record = BaseRecord::<(), str>::to(&self.topic).payload("probe");
                let record = record.partition(i32::try_from(partition).unwrap_or_default());
                self.producer.send(record).map_err(|(error, _)| error.to_string())?;
            }
            self.producer
                .flush(Duration::from_millis(1_500))
                .map_err(|error| error.to_string())?;
            for partition in waiting.clone() {
                match self.end(i32::try_from(partition).unwrap_or_default()) {
                    Some(end) if end > self.ends[partition] => {
                        self.ends[partition] = end;
                        waiting.remove(&partition);
                    }
                    _ => {}
                }
            }
            if waiting.is_empty() {
                Ok(())
            } else {
                Err(format!("not in {waiting:?}"))
            }
        })
    }

    fn end(&self, partition: i32) -> Option<i64> {
        let client = self.producer.client();
        let watermarks = client.fetch_watermarks(&self.topic, partition, Duration::from_secs(1));
        watermarks.ok().map(|(_, end)| end)
    }
}

//! Topics of the local Kafka, through the client library: the JVM tool takes a second and more for each call.

use std::collections::BTreeMap;
use std::future::Future;
use std::thread;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::StackError;
use super::process::poll;

const REQUEST_LIMIT: Duration = Duration::from_mins(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long until every broker knows of a change.
const SPREAD_LIMIT: Duration = Duration::from_secs(30);

/// Makes, changes and deletes topics on some Kafka. Calls block; they may be made from asynchronous code in tests.
#[derive(Debug, Clone)]
pub struct Topics {
    bootstrap_servers: String,
    brokers: usize,
}

impl Topics {
    /// For a cluster with this number of brokers.
    pub fn on(bootstrap_servers: &str, brokers: usize) -> Topics {
        Topics {
            bootstrap_servers: bootstrap_servers.to_owned(),
            brokers,
        }
    }

    /// Makes a topic, replicated on every broker (at most three times), and waits until each partition has a leader.
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`], also when the topic exists.
    pub fn create(&self, name: &str, partitions: i32, config: &[(&str, &str)]) -> Result<(), StackError> {
        let replication = TopicReplication::Fixed(i32::try_from(self.brokers.min(3)).unwrap_or(1));
        let topic = config
            .iter()
            .fold(NewTopic::new(name, partitions, replication), |topic, (key, value)| {
                topic.set(key, value)
            });
        let action = || format!("create the topic {name}");
        let admin = self.admin().map_err(refused(action()))?;
        let outcome = block_on(admin.create_topics([&topic], &options()), &action())?;
        first(outcome).map_err(refused(action()))?;
        let expected = usize::try_from(partitions).ok();
        self.wait_until(
            &action(),
            |leaders| expected.is_none_or(|expected| leaders == Some(expected)),
            name,
        )
    }

    /// Gives a topic more partitions and waits until each has a leader.
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`], also when it has as many already.
    pub fn add_partitions(&self, name: &str, partitions: usize) -> Result<(), StackError> {
        let action = format!("give the topic {name} {partitions} partitions");
        let admin = self.admin().map_err(refused(action.clone()))?;
        let more = NewPartitions::new(name, partitions);
        let outcome = block_on(admin.create_partitions([&more], &options()), &action)?;
        first(outcome).map_err(refused(action.clone()))?;
        self.wait_until(&action, |leaders| leaders == Some(partitions), name)
    }

    /// Deletes a topic and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`], also when there is no such topic.
    pub fn delete(&self, name: &str) -> Result<(), StackError> {
        let action = format!("delete the topic {name}");
        let admin = self.admin().map_err(refused(action.clone()))?;
        let outcome = block_on(admin.delete_topics(&[name], &options()), &action)?;
        first(outcome).map_err(refused(action.clone()))?;
        self.wait_until(&action, |leaders| leaders.is_none(), name)
    }

    /// Changes settings of a topic; its other settings stay.
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`], also when the broker refuses a value.
    pub fn alter(&self, name: &str, config: &[(&str, &str)]) -> Result<(), StackError> {
        let action = format!("change the settings of the topic {name}");
        let admin = self.admin().map_err(refused(action.clone()))?;
        let resource = ResourceSpecifier::Topic(name);
        let described = block_on(admin.describe_configs([&resource], &options()), &action)?;
        let described = described.map_err(refused(action.clone()))?.into_iter().next();
        let described = described.unwrap_or(Err(RDKafkaErrorCode::UnknownTopicOrPartition));
        let described = described.map_err(|code| refused(action.clone())(KafkaError::AdminOp(code)))?;
        // The request replaces all settings of the topic, so the present ones go along.
        let present = described
            .entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut settings: BTreeMap<&str, &str> = present
            .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
            .collect();
        settings.extend(config.iter().copied());
        let request = settings
            .iter()
            .fold(AlterConfig::new(resource), |request, (key, value)| {
                request.set(key, value)
            });
        let outcome = block_on(admin.alter_configs([&request], &options()), &action)?;
        let outcome = outcome
            .map_err(refused(action.clone()))?
            .into_iter()
            .next()
            .unwrap_or(Ok(rdkafka::admin::OwnedResourceSpecifier::Topic(name.to_owned())));
        outcome
            .map(drop)
            .map_err(|(_, code)| refused(action)(KafkaError::AdminOp(code)))
    }

    /// Removes everything that each partition of a topic has, as retention does.
    ///
    /// # Errors
    ///
    /// [`StackError::Admin`].
    pub fn empty(&self, name: &str, partitions: i32) -> Result<(), StackError> {
        let action = format!("empty the topic {name}");
        let admin = self.admin().map_err(refused(action.clone()))?;
        let mut ends = TopicPartitionList::new();
        for partition in 0..partitions {
            let added = ends.add_partition_offset(name, partition, Offset::End);
            added.map_err(refused(action.clone()))?;
        }
        let outcome = block_on(admin.delete_records(&ends, &options()), &action)?;
        outcome.map(drop).map_err(refused(action))
    }

    /// The ids of the registered brokers, or why they could not be asked for.
    pub(crate) fn brokers(&self) -> Result<Vec<i32>, String> {
        let metadata = self.consumer().and_then(|consumer| {
            let client = consumer.client();
            client.fetch_metadata(None, ANSWER_LIMIT)
        });
        let metadata = metadata.map_err(|error| error.to_string())?;
        Ok(metadata
            .brokers()
            .iter()
            .map(rdkafka::metadata::MetadataBroker::id)
            .collect())
    }

    /// Waits until `reached` holds for the number of partitions with a leader (`None`: no such topic), asking every
    /// broker, as each learns of a change at its own time.
    fn wait_until(&self, action: &str, reached: impl Fn(Option<usize>) -> bool, name: &str) -> Result<(), StackError> {
        let mut last = None;
        for broker in self.bootstrap_servers.split(',') {
            let one = Topics::on(broker, 1);
            let consumer = one.consumer().map_err(refused(action.to_owned()))?;
            let seen = poll(SPREAD_LIMIT, || {
                // A broker that is down knows nothing and is not waited for.
                let Ok(metadata) = consumer.fetch_metadata(Some(name), ANSWER_LIMIT) else {
                    return Some(());
                };
                let topic = metadata.topics().iter().find(|topic| topic.name() == name);
                let topic = topic.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
                last = topic.map(|topic| topic.partitions().iter().filter(|part| part.leader() >= 0).count());
                reached(last).then_some(())
            });
            seen.ok_or_else(|| StackError::Admin {
                action: action.to_owned(),
                reason: format!(
                    "after {} s {broker} sees {last:?} partitions with a leader",
                    SPREAD_LIMIT.as_secs()
                ),
            })?;
        }
        Ok(())
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set_log_level(RDKafkaLogLevel::Emerg);
        config
    }

    fn admin(&self) -> KafkaResult<AdminClient<DefaultClientContext>> {
        self.config().create()
    }

    fn consumer(&self) -> KafkaResult<BaseConsumer> {
        self.config().create()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_LIMIT))
        .operation_timeout(Some(REQUEST_LIMIT))
}

fn first(outcome: KafkaResult<Vec<TopicResult>>) -> KafkaResult<()> {
    outcome?
        .into_iter()
        .try_for_each(|topic| topic.map(drop).map_err(|(_, code)| KafkaError::AdminOp(code)))
}

fn refused(action: String) -> impl FnOnce(KafkaError) -> StackError {
    move |error| StackError::Admin {
        action,
        reason: error.to_string(),
    }
}

/// Waits for a future on a thread of its own, as the caller's may belong to a runtime already.
fn block_on<F>(future: F, action: &str) -> Result<F::Output, StackError>
where
    F: Future + Send,
    F::Output: Send,
{
    let failed = |reason: String| StackError::Admin {
        action: action.to_owned(),
        reason,
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            Ok::<F::Output, std::io::Error>(runtime.block_on(future))
        });
        let outcome = waiting
            .join()
            .map_err(|_| failed("the waiting thread panicked".to_owned()))?;
        outcome.map_err(|error| failed(error.to_string()))
    })
}

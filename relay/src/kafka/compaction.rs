//! Which topics are compacted: there the brokers remove the older records of a key, so that what is not in the topic may have
//! been published all the same.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResourceResult, ResourceSpecifier};
use rdkafka::error::KafkaResult;

use crate::config::KafkaSettings;
use crate::fault::Fault;
use crate::kafka::properties::reader_config;
use crate::kafka::reports::{Callbacks, Reports};
use crate::kafka::start_error::StartError;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Whether the brokers compact a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Compaction {
    No,
    Yes,
    /// The brokers do not say; why not.
    Unknown(String),
}

/// Asks the brokers for the cleanup policy of each topic. Who may not know it is told so: it takes `DESCRIBE_CONFIGS`, which
/// reading a topic does not.
///
/// # Errors
/// A secret's file cannot be read, or librdkafka refuses the configuration.
pub(crate) async fn compaction(kafka: &KafkaSettings, topics: &[&str]) -> Result<Vec<Compaction>, Fault> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin = client(kafka)?;
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
    Ok(match admin.describe_configs(&asked, &options).await {
        Ok(described) => topics.iter().map(|topic| of_topic(topic, &described)).collect(),
        Err(error) => topics.iter().map(|_| Compaction::Unknown(error.to_string())).collect(),
    })
}

fn client(kafka: &KafkaSettings) -> Result<AdminClient<Callbacks>, Fault> {
    let config = reader_config(kafka).map_err(|error| StartError::from(error).fault())?;
    let callbacks = Callbacks::of(kafka, &config, Arc::<Reports>::default());
    let client: KafkaResult<_> = config.create_with_context(callbacks);
    client.map_err(|error| StartError::refused(&error, kafka).fault())
}

fn of_topic(topic: &str, described: &[ConfigResourceResult]) -> Compaction {
    use rdkafka::admin::OwnedResourceSpecifier::Topic;

    let mut found = described.iter().filter_map(|described| described.as_ref().ok());
    let is_it = |specifier: &_| matches!(specifier, Topic(name) if name == topic);
    let policy = found
        .find(|resource| is_it(&resource.specifier))
        .and_then(|resource| resource.get("cleanup.policy"))
        .and_then(|entry| entry.value.as_deref());
    match policy {
        Some(policy) if policy.split(',').any(|part| part.trim() == "compact") => Compaction::Yes,
        Some(_) => Compaction::No,
        None => Compaction::Unknown(refusal(described)),
    }
}

/// A refusal does not say which topic it is about.
fn refusal(described: &[ConfigResourceResult]) -> String {
    let refused = described.iter().find_map(|described| described.as_ref().err());
    refused.map_or_else(|| "no answer".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigResource, ConfigSource, OwnedResourceSpecifier};
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    fn described(topic: &str, policy: &str) -> ConfigResource {
        ConfigResource {
            specifier: OwnedResourceSpecifier::Topic(topic.to_owned()),
            entries: vec![ConfigEntry {
                name: "cleanup.policy".to_owned(),
                value: Some(policy.to_owned()),
                source: ConfigSource::Default,
                is_read_only: false,
                is_default: true,
                is_sensitive: false,
            }],
        }
    }

    #[test]
    fn a_topic_is_compacted_if_one_of_its_policies_says_so() {
        let of = |policy| of_topic("orders", &[Ok(described("orders", policy))]);
        assert_eq!(of("delete"), Compaction::No);
        assert_eq!(of("compact"), Compaction::Yes);
        assert_eq!(of("delete, compact"), Compaction::Yes);
    }

    #[test]
    fn what_a_broker_does_not_say_is_not_known() {
        let refused = [
            Ok(described("others", "compact")),
            Err(RDKafkaErrorCode::TopicAuthorizationFailed),
        ];
        assert!(matches!(of_topic("orders", &refused), Compaction::Unknown(_)));
        assert!(matches!(of_topic("orders", &[]), Compaction::Unknown(_)));
    }
}

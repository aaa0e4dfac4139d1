//! Why a producer cannot be made.

use rdkafka::error::KafkaError;

use crate::config::{KafkaSettings, SecretError};
use crate::fault::{Fault, FaultCode};

/// Why a producer cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// librdkafka does not accept the configuration.
    #[error("librdkafka does not accept the configuration: {0}")]
    Configuration(String),
    /// A secret's file cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl StartError {
    /// What librdkafka said, without a secret's value.
    pub(super) fn refused(error: &KafkaError, kafka: &KafkaSettings) -> Self {
        Self::Configuration(match error {
            KafkaError::ClientConfig(_, _, name, _) if kafka.secret_properties.contains_key(name) => {
                format!("the value of {name}, which is a secret and not shown")
            }
            error => error.to_string(),
        })
    }

    /// The same for a relay that runs: a secret's file is read again with every new producer.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Configuration(_) => Fault::new(
                FaultCode::KafkaConfigurationRefused,
                self.to_string(),
                "correct the files under kafka.property_files, or those that the ssl.*.location properties name, and the \
                 relay goes on by itself; what is under kafka.properties counts after a restart",
            ),
            Self::Secret(_) => Fault::new(
                FaultCode::KafkaSecretUnreadable,
                self.to_string(),
                "put the file back, readable for the relay; it goes on by itself",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::ClientConfig;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_value_of_a_secret_that_librdkafka_refuses_is_not_shown() {
        let kafka = KafkaSettings {
            bootstrap_servers: String::new(),
            client_id: String::new(),
            properties: BTreeMap::new(),
            secret_properties: [("linger.ms".to_owned(), Secret::Value("hunter2".into()))].into(),
            token_source: None,
        };
        let mut config = ClientConfig::new();
        let made: Result<rdkafka::producer::BaseProducer, _> = config.set("linger.ms", "hunter2").create();
        let error = made.err().unwrap();
        assert!(error.to_string().contains("hunter2"), "{error}");
        let refused = StartError::refused(&error, &kafka);
        let shown = format!("{refused} {refused:?} {:?}", refused.fault());
        assert!(shown.contains("linger.ms") && !shown.contains("hunter2"), "{shown}");
    }
}

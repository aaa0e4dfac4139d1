//! Whether librdkafka takes a configuration as a whole, asked without a broker.

use rdkafka::producer::BaseProducer;

use crate::config::{KafkaSettings, PipelineSettings};
use crate::kafka::properties::{Batching, client_config};
use crate::kafka::start_error::StartError;

/// Makes a producer that knows no broker, and lets it go: certificates are loaded, and properties that exclude each
/// other are found out.
///
/// # Errors
/// What a relay with these settings would be told at its start.
pub(crate) fn accept(kafka: &KafkaSettings, pipeline: &PipelineSettings) -> Result<(), StartError> {
    let mut config = client_config(kafka, pipeline, Batching::Full)?;
    config.remove("bootstrap.servers");
    let made = config.create::<BaseProducer>();
    made.map(drop).map_err(|error| StartError::refused(&error, kafka))
}

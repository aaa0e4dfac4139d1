//! What the producer does not even take, counted: the same record is handed to it again and again.

use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::policy;
use crate::pipeline::Ticket;
use crate::telemetry::Metrics;

/// The refusal that was counted last.
#[derive(Debug, Default)]
pub(super) struct Refused(Option<(Ticket, RDKafkaErrorCode)>);

impl Refused {
    /// Counts a refusal, unless it is the one before once more.
    pub(super) fn count(&mut self, ticket: Ticket, code: RDKafkaErrorCode, metrics: &Metrics) {
        if self.0.replace((ticket, code)) != Some((ticket, code)) {
            count_failure(code, metrics);
        }
    }
}

/// Counts a delivery that failed.
pub(super) fn count_failure(code: RDKafkaErrorCode, metrics: &Metrics) {
    let labels = [policy::error_type(code)];
    metrics.publish_failures.with_label_values(&labels).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_counts_once_however_often_its_record_is_tried() {
        let (mut refused, metrics) = (Refused::default(), Metrics::default());
        let too_large = |metrics: &Metrics| metrics.publish_failures.with_label_values(&["record_too_large"]).get();
        for _ in 0..3 {
            refused.count(Ticket::from_u64(1), RDKafkaErrorCode::MessageSizeTooLarge, &metrics);
        }
        assert_eq!(too_large(&metrics), 1);
        refused.count(Ticket::from_u64(1), RDKafkaErrorCode::UnknownTopic, &metrics);
        refused.count(Ticket::from_u64(2), RDKafkaErrorCode::MessageSizeTooLarge, &metrics);
        assert_eq!(too_large(&metrics), 2);
    }
}

//! Why the line counts as down, and when that is over.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::RDKafkaErrorCode;

use crate::fault::{Fault, FaultCode};
use crate::kafka::policy;
use crate::kafka::properties::Batching;
use crate::kafka::reports::Failed;
use crate::pipeline::Ticket;

/// A new producer that has nothing to send counts as good after this.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

/// Something stopped the line; what has to happen until that is over.
#[derive(Debug)]
pub(super) struct Blame {
    fault: Fault,
    over: Over,
    /// It may pass with the next attempt: nobody is told before.
    told_at: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Over {
    /// Everything up to this record is acknowledged.
    Acknowledged(Ticket),
    /// Nothing was in flight: the next producer lives until then.
    At(Instant),
}

impl Blame {
    /// For what has failed, `newest` last; tried again at `retry_at`.
    pub(super) fn new(fault: Fault, newest: Option<Ticket>, retry_at: Instant, told_at: Instant) -> Self {
        let over = newest.map_or(Over::At(retry_at + PROVEN_AFTER), Over::Acknowledged);
        Self { fault, over, told_at }
    }

    /// What people are told.
    pub(super) fn told(&self, now: Instant) -> Option<&Fault> {
        (now >= self.told_at).then_some(&self.fault)
    }

    /// Whether new records have to wait: the line is halted, not only the topic that stopped it.
    pub(super) const fn holds_back(&self) -> bool {
        matches!(self.over, Over::Acknowledged(_))
    }

    /// Whether the line works again: `oldest` is not acknowledged yet.
    pub(super) fn is_over(&self, oldest: Option<Ticket>, is_flowing: bool, now: Instant) -> bool {
        match self.over {
            Over::Acknowledged(newest) => oldest.is_none_or(|oldest| oldest > newest),
            Over::At(at) => now >= at && is_flowing,
        }
    }
}

/// Of a principal without any right, brokers say by turns that it may not use the topic and that it may use none: the
/// one that names the topic stays, so that the log does not alternate too.
pub(super) fn more_telling(known: Option<&Blame>, cause: Fault) -> Fault {
    match known {
        Some(Blame { fault, .. })
            if fault.code == FaultCode::TopicNotAuthorized && cause.code == FaultCode::ClusterNotAuthorized =>
        {
            fault.clone()
        }
        _ => cause,
    }
}

/// What the brokers said first, and of which record; the other reports of a stopped line are its consequences.
pub(super) fn cause(
    failed: &[Failed],
    batching: Batching,
    fatal: Option<RDKafkaErrorCode>,
) -> (Fault, Option<&Failed>) {
    match failed.iter().find(|failed| !policy::is_consequence(failed.code)) {
        Some(failed) => {
            let about = match batching {
                Batching::Full => format!("records of topic {}", failed.record.topic()),
                Batching::Isolating => failed.describe(),
            };
            (policy::delivery_fault(failed.code, &about), Some(failed))
        }
        None => (
            policy::delivery_fault(fatal.unwrap_or(RDKafkaErrorCode::Fatal), "records"),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_denial_that_names_the_topic_is_not_replaced_by_the_one_that_does_not() {
        let denied = |code| policy::delivery_fault(code, "records");
        let (topic, cluster) = (
            denied(RDKafkaErrorCode::TopicAuthorizationFailed),
            denied(RDKafkaErrorCode::ClusterAuthorizationFailed),
        );
        let blame = |fault: &Fault| Blame::new(fault.clone(), None, Instant::now(), Instant::now());
        assert_eq!(more_telling(Some(&blame(&topic)), cluster.clone()), topic);
        assert_eq!(more_telling(Some(&blame(&cluster)), topic.clone()), topic);
        assert_eq!(more_telling(None, cluster.clone()), cluster);
    }
}

//! Why the line counts as down, and when that is over.

use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::error::RDKafkaErrorCode;

use crate::fault::Fault;
use crate::kafka::policy;
use crate::kafka::properties::Batching;
use crate::kafka::reports::Failed;
use crate::pipeline::Ticket;

/// A new producer that has nothing to send counts as good after this.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

/// Something stopped the line; what has to happen until that is over.
#[derive(Debug)]
pub(super) struct Blame {
    pub(super) fault: Fault,
    over: Over,
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
    pub(super) fn new(fault: Fault, newest: Option<Ticket>, retry_at: Instant) -> Self {
        let over = newest.map_or(Over::At(retry_at + PROVEN_AFTER), Over::Acknowledged);
        Self { fault, over }
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

/// What the brokers said first; the other reports of a stopped line are its consequences.
pub(super) fn cause(failed: &[Failed], batching: Batching, fatal: Option<RDKafkaErrorCode>) -> Fault {
    match failed.iter().find(|failed| !policy::is_consequence(failed.code)) {
        Some(failed) => {
            let about = match batching {
                Batching::Full => format!("records of topic {}", failed.record.topic()),
                Batching::Isolating => failed.describe(),
            };
            policy::delivery_fault(failed.code, &about)
        }
        None => policy::delivery_fault(fatal.unwrap_or(RDKafkaErrorCode::Fatal), "records"),
    }
}

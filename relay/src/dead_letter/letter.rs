//! One row that is set aside, with everything that is needed to publish it later.

use outbox_decoder::outbox::Remains;
use outbox_decoder::{Envelope, Position, Text, Timestamp};
use rdkafka::Message;
use rdkafka::message::Headers as _;

use crate::fault::{Fault, policy};
use crate::kafka::Failed;
use crate::pipeline::{Aside, DefectCause, Row, TopicKey, Why};

/// In which state a letter begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    /// It cannot be published.
    Failed,
    /// It waits behind another one, or for its route.
    Parked,
}

impl Begins {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Parked => "parked",
        }
    }
}

/// Why a row could not be published, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A fault's name, or why nobody tried: a bounded set.
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
    /// What lies behind the message, the nearest first.
    pub(crate) causes: Vec<String>,
    pub(crate) broker_response: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) attempts_max: u32,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

impl Failure {
    /// Of a record that the producer or the relay itself refuses, for good.
    pub(crate) fn of_fault(fault: &Fault, causes: Vec<String>, at: Timestamp) -> Self {
        Self {
            error_type: fault.code.name(),
            message: fault.message.clone(),
            causes,
            broker_response: None,
            attempts: 1,
            attempts_max: 1,
            first_at: at,
            last_at: at,
        }
    }

    /// Of a row that nobody tried to publish.
    fn untried(error_type: &'static str, message: &str, at: Timestamp) -> Self {
        Self {
            error_type,
            message: message.to_owned(),
            causes: Vec::new(),
            broker_response: None,
            attempts: 0,
            attempts_max: 0,
            first_at: at,
            last_at: at,
        }
    }

    fn key_parked(at: Timestamp) -> Self {
        Self::untried("key_parked", "an earlier event of its key is a dead letter", at)
    }

    fn of(why: Why<Fault>, at: Timestamp) -> Self {
        match why {
            Why::KeyParked => Self::key_parked(at),
            Why::RoutePaused => Self::untried("route_paused", "its outbox is paused", at),
            Why::Skipped => Self::untried("skipped", "somebody has named it to be skipped", at),
            Why::Defect(DefectCause::Refused(fault)) => Self::of_fault(&fault, Vec::new(), at),
            Why::Defect(DefectCause::Mapping(error)) => {
                let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
                let causes = causes.map(ToString::to_string).collect();
                let fault = Fault::new(policy::of_row(&error), error.to_string(), "");
                Self::of_fault(&fault, causes, at)
            }
        }
    }
}

/// A record that was on its way and goes to the dead letters.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) failed: Failed,
    pub(crate) committed_at: Option<Timestamp>,
    /// `None`: it comes behind one that is given up.
    pub(crate) failure: Option<Failure>,
    pub(crate) parks_key: bool,
}

/// One row that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) position: Position,
    pub(crate) committed_at: Timestamp,
    pub(crate) outbox: u16,
    pub(crate) idempotency_key: String,
    pub(crate) aggregate_type: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) timestamp_ms: i64,
    pub(crate) failure: Failure,
    pub(crate) begins: Begins,
    pub(crate) parks_key: bool,
}

impl Letter {
    /// Of a row that the pipeline sets aside.
    pub(crate) fn of(aside: Aside<'_, Fault>, at: Timestamp) -> Self {
        let Aside { row, why, parks } = aside;
        let parks_key = parks.is_some();
        let begins = match why {
            Why::KeyParked | Why::RoutePaused => Begins::Parked,
            Why::Defect(_) | Why::Skipped => Begins::Failed,
        };
        let failure = Failure::of(why, at);
        match row {
            Row::Whole(envelope) => Self::of_envelope(envelope, failure, begins, parks_key),
            Row::Remains(remains) => Self::of_remains(remains, failure, begins, parks_key),
        }
    }

    fn of_envelope(envelope: &Envelope<'_>, failure: Failure, begins: Begins, parks_key: bool) -> Self {
        let mut headers = Vec::with_capacity(envelope.header_count());
        envelope.for_each_header(|name, value| headers.push((name.to_owned(), value.to_vec())));
        Self {
            position: envelope.position,
            committed_at: envelope.committed_at,
            outbox: envelope.outbox,
            idempotency_key: lossy(envelope.idempotency_key.as_bytes()),
            aggregate_type: Some(lossy(envelope.aggregate_type.as_bytes())),
            topic: Some(envelope.topic.as_str().to_owned()),
            key: bytes(envelope.key.as_ref()),
            headers,
            payload: bytes(envelope.payload.as_ref()),
            timestamp_ms: envelope.timestamp_ms(),
            failure,
            begins,
            parks_key,
        }
    }

    fn of_remains(remains: &Remains<'_>, failure: Failure, begins: Begins, parks_key: bool) -> Self {
        let mut headers = Vec::new();
        remains.for_each_header(|name, value| headers.push((name.to_owned(), value.to_vec())));
        let aggregate_type = remains.aggregate_type.as_ref();
        Self {
            position: remains.position,
            committed_at: remains.committed_at,
            outbox: remains.outbox,
            idempotency_key: lossy(remains.idempotency_key.as_bytes()),
            aggregate_type: aggregate_type.map(|name| lossy(name.as_bytes())),
            topic: remains.topic.as_ref().map(|topic| topic.as_str().to_owned()),
            key: bytes(remains.key.as_ref()),
            headers,
            payload: bytes(remains.payload.as_ref()),
            timestamp_ms: remains.timestamp_ms(),
            failure,
            begins,
            parks_key,
        }
    }

    /// Of a record that was on its way.
    pub(crate) fn of_given_up(given_up: GivenUp, at: Timestamp) -> Self {
        let GivenUp {
            failed,
            committed_at,
            failure,
            parks_key,
        } = given_up;
        let begins = if failure.is_some() {
            Begins::Failed
        } else {
            Begins::Parked
        };
        let record = &failed.record;
        let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers.map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
        let kept = failed.kept.unwrap_or_default();
        Self {
            position: failed.position(),
            committed_at: committed_at.unwrap_or(at),
            outbox: kept.outbox,
            idempotency_key: failed.header("id").unwrap_or_default(),
            aggregate_type: failed.header("aggregate_type"),
            topic: Some(record.topic().to_owned()),
            key: record.key().map(<[u8]>::to_vec),
            headers: headers.collect(),
            payload: record.payload().map(<[u8]>::to_vec),
            timestamp_ms: kept.timestamp_ms,
            failure: failure.unwrap_or_else(|| Failure::key_parked(at)),
            begins,
            parks_key,
        }
    }

    /// The key whose later rows wait behind it.
    pub(crate) fn parks(&self) -> Option<TopicKey> {
        let of = || Some((self.topic.clone()?, self.key.clone()?));
        self.parks_key.then(of).flatten()
    }

    /// What it takes of memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        headers + self.key.as_ref().map_or(0, Vec::len) + self.payload.as_ref().map_or(0, Vec::len)
    }

    /// Whose it is, where the metadata says so.
    pub(crate) fn tenant(&self) -> Option<String> {
        let tenant = self.headers.iter().find(|(name, _)| name == "tenant_id");
        tenant.map(|(_, value)| lossy(value))
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bytes(text: Option<&Text<'_>>) -> Option<Vec<u8>> {
    text.map(|text| text.as_bytes().to_vec())
}

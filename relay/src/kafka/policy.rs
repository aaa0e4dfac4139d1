//! What is said of Kafka's errors. Which fault each of them is, is [`policy`]'s.

use outbox_decoder::TopicName;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::fault::{Fault, FaultCode, policy};

/// What to do about a login that the brokers refuse.
pub(super) const LOGIN_REMEDY: &str = "correct the login, at the brokers or in the files under kafka.property_files, \
    which are read anew; what is under kafka.properties counts after a restart";

const fn hint(fault: FaultCode) -> &'static str {
    match fault {
        FaultCode::TopicMissing => {
            "create the topic, or correct the outbox's topic template; the relay goes on by itself"
        }
        FaultCode::TopicNotAuthorized => {
            "allow the relay's principal to WRITE and DESCRIBE the topic; the relay goes on by itself"
        }
        FaultCode::ClusterNotAuthorized => {
            "allow the relay's principal to WRITE to its topics: it may write to none (brokers before 2.8: \
             IDEMPOTENT_WRITE on the cluster too); the relay goes on by itself"
        }
        FaultCode::KafkaAuthenticationFailed => LOGIN_REMEDY,
        FaultCode::KafkaUnsupported => {
            "the brokers cannot do what the relay needs; see the supported versions in GUARANTEES.md"
        }
        FaultCode::RecordTooLarge => {
            "raise the topic's max.message.bytes, or set the event aside: `outbox-relay skip`; the relay goes on by itself"
        }
        FaultCode::RecordRefused => {
            "look at the topic's cleanup.policy (a compacted topic needs keys), message.timestamp limits and policies; \
             the relay goes on by itself once the brokers accept the record, or the event is set aside: `outbox-relay skip`"
        }
        FaultCode::TopicInvalid => {
            "correct the outbox's topic template and restart the relay, or set the event aside: `outbox-relay skip`; \
             changing the row in its table has no effect"
        }
        _ => "nothing: the relay tries again for ever; look at the brokers if this lasts",
    }
}

/// The fault that a delivery error means.
pub(super) fn delivery_fault(code: Code, about: &str) -> Fault {
    let fault = policy::of_kafka(code);
    Fault::new(fault, format!("Kafka did not take {about}: {code}"), hint(fault))
}

/// The fault that it means when the producer itself does not take a record, without asking the brokers.
pub(super) fn refusal_fault(code: Code, about: &str) -> Fault {
    let fault = delivery_fault(code, about);
    if code != Code::MessageSizeTooLarge {
        return fault;
    }
    let message = format!("{about} is larger than the producer's limit, message.max.bytes");
    let hint = "raise kafka.properties.\"message.max.bytes\" (1000000 if it is not set), and the topic's \
                max.message.bytes with it; then restart the relay, which reads it only then. Or set the event aside: \
                `outbox-relay skip EVENT --reason TEXT`"
        .to_owned();
    Fault { message, hint, ..fault }
}

/// The fault that it means when a topic cannot be read.
pub(super) fn unread_fault(code: Code, topic: &TopicName) -> Fault {
    let fault = policy::of_kafka(code);
    let hint = match fault {
        FaultCode::TopicMissing => "create the topic, or correct the outbox's topic template",
        FaultCode::TopicNotAuthorized => "allow the relay's principal to READ the topic, as long as this takes",
        _ => "look at the brokers, then try again",
    };
    Fault::new(fault, format!("topic {topic} could not be read: {code}"), hint)
}

/// The name of a delivery error: a bounded set, used as a metric label.
pub(super) fn error_type(code: Code) -> &'static str {
    policy::of_kafka(code).name()
}

/// Errors that follow from an earlier one and are never the cause themselves.
pub(super) const fn is_consequence(code: Code) -> bool {
    matches!(
        code,
        Code::Fatal | Code::GaplessGuarantee | Code::PurgeQueue | Code::PurgeInflight
    )
}

/// The connection was refused, not the record: what was under way when a login had to be repeated fails with it.
pub(super) const fn is_refused_connection(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
}

/// The brokers answer, and acknowledge nothing.
pub(super) fn stalled() -> Fault {
    Fault::new(
        FaultCode::AcknowledgementsStalled,
        "Kafka has acknowledged nothing of the oldest records in flight for half a minute",
        "look at the brokers: a partition without a leader, or fewer replicas in sync than min.insync.replicas; the \
         relay goes on by itself",
    )
}

/// No broker answers.
pub(super) fn unreachable(trouble: Option<&str>) -> Fault {
    let message = match trouble {
        Some(trouble) => format!("no Kafka broker answers: {trouble}"),
        None => "no Kafka broker answers".to_owned(),
    };
    Fault::new(
        FaultCode::KafkaUnreachable,
        message,
        "nothing if the brokers are restarting; otherwise check kafka.bootstrap_servers and the network",
    )
}

/// Nothing that could be trusted answers.
pub(super) fn tls_failed(message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new(FaultCode::KafkaTlsFailed, message, hint)
}

/// The brokers do not know who the relay is.
pub(super) fn not_logged_in(message: impl Into<String>, hint: impl Into<String>) -> Fault {
    Fault::new(FaultCode::KafkaAuthenticationFailed, message, hint)
}

/// There is no token to log in with.
pub(super) fn no_token(why: &str) -> Fault {
    Fault::new(
        FaultCode::KafkaTokenUnavailable,
        format!("there is no token to log in to Kafka with: {why}"),
        "mend what kafka.oauth_token_file or kafka.oauth_token_command names; the relay asks again by itself",
    )
}

//! The error policy: which fault each error is that PostgreSQL, Kafka, a connection or a row can give. One table; the fault's
//! kind in the [catalogue](super::FaultCode) says what follows. Whatever is not in it is transient: tried again for ever,
//! never a reason to lose an event.
//!
//! Decided by code, never by text, which may be translated. Sources: PostgreSQL documentation, "PostgreSQL Error Codes";
//! librdkafka `INTRODUCTION.md` and `rd_kafka_err_action`. What librdkafka retries by itself never comes here.

use outbox_decoder::MappingError;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::FaultCode;

/// An error, by the name that it has where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorName {
    /// A SQLSTATE; of fewer than five characters, all that begin so.
    Sqlstate(&'static str),
    /// A SQLSTATE from a function of the server whose name begins so: the same code also means other things.
    SqlstateOf(&'static str, &'static str),
    /// A notice from that function of the server.
    Notice(&'static str),
    /// What happened to a connection to PostgreSQL.
    Connection(Trouble),
    /// What a broker answered, or librdkafka found out by itself.
    Kafka(Code),
    /// Why a row gives no record.
    Row(RowTrouble),
}

/// What can happen to a connection to PostgreSQL beside the server's own errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It did not come about, broke, or took too long.
    Broken,
    /// The host is a standby.
    Standby,
    /// Something that is no part of the protocol.
    Malformed,
    /// What only a pooler says, or PostgreSQL behind one.
    Pooler,
    /// TLS failed.
    Tls,
    /// The login could not be bound to TLS.
    ChannelBinding,
    /// The server asks for a proof that is not given, or cannot give its own.
    Authentication,
    /// A password is wanted and none is configured.
    NoPassword,
    /// The password cannot be read.
    Secret,
    /// A row above the limit.
    RowTooLarge,
}

/// Why a row gives no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTrouble {
    /// No outbox of the configuration is for its table.
    UnmappedTable,
    /// Its topic has no possible name.
    Topic,
    /// Its table lacks a mapped column.
    MissingColumn,
    /// It has another number of columns than its table.
    ColumnCount,
    /// NULL where a value is needed.
    Null,
    /// A value that its part cannot be made of.
    Unreadable,
}

/// The table. An error stands in it once.
#[rustfmt::skip]
pub static POLICY: &[(FaultCode, &[ErrorName])] = {
    use FaultCode as F;
    use ErrorName::{Connection, Kafka, Notice, Row, Sqlstate, SqlstateOf};
    &[
        (F::PostgresUnreachable, &[Sqlstate("57P"), Connection(Trouble::Broken)]),
        (F::PostgresIsStandby, &[Connection(Trouble::Standby)]),
        (F::PostgresProtocolViolation, &[Connection(Trouble::Malformed)]),
        (F::PostgresPoolerInTheWay, &[Connection(Trouble::Pooler)]),
        (F::PostgresTlsFailed, &[Connection(Trouble::Tls)]),
        (F::PostgresChannelBindingMissing, &[Connection(Trouble::ChannelBinding)]),
        (F::PostgresAuthenticationFailed, &[
            Sqlstate("28000"), Sqlstate("28P01"),
            Connection(Trouble::Authentication), Connection(Trouble::NoPassword),
        ]),
        (F::PostgresPasswordUnreadable, &[Connection(Trouble::Secret)]),
        (F::PostgresDatabaseMissing, &[Sqlstate("3D000")]),
        (F::PostgresNotPermitted, &[Sqlstate("42501")]),
        (F::SchemaNotMigrated, &[Sqlstate("42P01"), Sqlstate("3F000")]),
        (F::PublicationMissing, &[SqlstateOf("42704", "get_publication_oid"), Notice("LoadPublications")]),
        (F::SlotMissing, &[SqlstateOf("42704", "ReplicationSlot")]),
        (F::SlotUnusable, &[Sqlstate("55000")]),
        (F::WaitingForStandby, &[Notice("StandbySlotsHaveCaughtup")]),
        (F::RowTooLarge, &[Connection(Trouble::RowTooLarge)]),
        (F::RowMatchesNoRoute, &[Row(RowTrouble::UnmappedTable), Row(RowTrouble::Topic)]),
        (F::RowDoesNotFitMapping, &[
            Row(RowTrouble::MissingColumn), Row(RowTrouble::ColumnCount), Row(RowTrouble::Null), Row(RowTrouble::Unreadable),
        ]),
        (F::TopicMissing, &[
            Kafka(Code::UnknownTopicOrPartition), Kafka(Code::UnknownTopic), Kafka(Code::UnknownPartition),
        ]),
        (F::TopicInvalid, &[Kafka(Code::InvalidTopic)]),
        (F::TopicNotAuthorized, &[Kafka(Code::TopicAuthorizationFailed)]),
        (F::ClusterNotAuthorized, &[
            Kafka(Code::ClusterAuthorizationFailed), Kafka(Code::TransactionalIdAuthorizationFailed),
        ]),
        (F::KafkaAuthenticationFailed, &[Kafka(Code::SaslAuthenticationFailed), Kafka(Code::Authentication)]),
        (F::KafkaUnsupported, &[
            Kafka(Code::InvalidRequiredAcks), Kafka(Code::UnsupportedVersion), Kafka(Code::UnsupportedSASLMechanism),
        ]),
        (F::RecordTooLarge, &[Kafka(Code::MessageSizeTooLarge), Kafka(Code::MessageBatchTooLarge)]),
        (F::RecordRefused, &[
            Kafka(Code::InvalidRecord), Kafka(Code::PolicyViolation), Kafka(Code::UnsupportedForMessageFormat),
            Kafka(Code::InvalidTimestamp), Kafka(Code::InvalidDifferentRecord),
        ]),
    ]
};

fn find(is_it: impl Fn(&ErrorName) -> bool) -> Option<FaultCode> {
    let row = POLICY.iter().find(|(_, errors)| errors.iter().any(&is_it));
    row.map(|&(code, _)| code)
}

/// What an error of the server is; `routine` is the function that gave it.
pub fn of_sqlstate(sqlstate: &str, routine: Option<&str>) -> FaultCode {
    let said_by = |function: &str| routine.is_some_and(|routine| routine.starts_with(function));
    let narrow = |error: &ErrorName| matches!(error, ErrorName::SqlstateOf(code, function) if *code == sqlstate && said_by(function));
    let wide = |error: &ErrorName| matches!(error, ErrorName::Sqlstate(code) if sqlstate.starts_with(code));
    find(narrow)
        .or_else(|| find(wide))
        .unwrap_or(FaultCode::PostgresRefused)
}

/// What a notice from that function of the server is, if it means that no events come.
pub fn of_notice(routine: &str) -> Option<FaultCode> {
    find(|error| matches!(error, ErrorName::Notice(known) if *known == routine))
}

/// What a connection's trouble is.
pub fn of_connection(trouble: Trouble) -> FaultCode {
    find(|error| *error == ErrorName::Connection(trouble)).unwrap_or(FaultCode::PostgresUnreachable)
}

/// What an error of Kafka is.
pub fn of_kafka(code: Code) -> FaultCode {
    find(|error| *error == ErrorName::Kafka(code)).unwrap_or(FaultCode::DeliveryFailed)
}

/// What is wrong with a row.
pub fn of_row(error: &MappingError) -> FaultCode {
    let trouble = match error {
        MappingError::UnmappedTable { .. } => RowTrouble::UnmappedTable,
        MappingError::Topic { .. } => RowTrouble::Topic,
        MappingError::MissingColumn { .. } => RowTrouble::MissingColumn,
        MappingError::ColumnCount { .. } => RowTrouble::ColumnCount,
        MappingError::Null { .. } => RowTrouble::Null,
        MappingError::Unreadable { .. } => RowTrouble::Unreadable,
    };
    find(|error| *error == ErrorName::Row(trouble)).unwrap_or(FaultCode::RowDoesNotFitMapping)
}

impl std::fmt::Display for ErrorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlstate(code) if code.len() < 5 => write!(f, "SQLSTATE {code}…"),
            Self::Sqlstate(code) => write!(f, "SQLSTATE {code}"),
            Self::SqlstateOf(code, function) => write!(f, "SQLSTATE {code} from {function}…"),
            Self::Notice(function) => write!(f, "notice from {function}"),
            Self::Connection(trouble) => f.write_str(match trouble {
                Trouble::Broken => "connection that fails, ends or is silent",
                Trouble::Standby => "server in recovery",
                Trouble::Malformed => "bytes that are no part of the protocol",
                Trouble::Pooler => "what only a pooler says (08P01 without a routine, 42601, 26000, 42P05)",
                Trouble::Tls => "TLS",
                Trouble::ChannelBinding => "login without channel binding",
                Trouble::Authentication => "SCRAM, or a weaker method than is allowed",
                Trouble::NoPassword => "password that is wanted and not configured",
                Trouble::Secret => "secret's file",
                Trouble::RowTooLarge => "frame above `postgres.frame_bytes_max`",
            }),
            // As librdkafka's rdkafka.h spells it.
            Self::Kafka(code) => write!(f, "Kafka {code:?}"),
            Self::Row(trouble) => f.write_str(match trouble {
                RowTrouble::UnmappedTable => "row of a table without an outbox",
                RowTrouble::Topic => "row whose topic has no possible name",
                RowTrouble::MissingColumn => "table that lacks a mapped column",
                RowTrouble::ColumnCount => "row with another number of columns than its table",
                RowTrouble::Null => "NULL where a value is needed",
                RowTrouble::Unreadable => "value that its part cannot be made of",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;

    #[test]
    fn an_error_stands_in_one_row() {
        let all: Vec<ErrorName> = POLICY.iter().flat_map(|(_, errors)| errors.iter().copied()).collect();
        for error in &all {
            assert_eq!(all.iter().filter(|other| *other == error).count(), 1, "{error}");
        }
        for (code, _) in POLICY {
            assert_eq!(POLICY.iter().filter(|(other, _)| other == code).count(), 1, "{code}");
        }
    }

    #[test]
    fn what_nobody_listed_is_transient() {
        let unlisted = [
            of_sqlstate("XX000", None),
            of_sqlstate("53300", None),
            of_kafka(Code::NotEnoughReplicas),
        ];
        assert_eq!(
            unlisted,
            [
                FaultCode::PostgresRefused,
                FaultCode::PostgresRefused,
                FaultCode::DeliveryFailed
            ]
        );
        assert!(unlisted.iter().all(|code| code.kind() == FaultKind::Transient));
    }

    #[test]
    fn the_same_sqlstate_means_what_the_function_says_that_gave_it() {
        assert_eq!(
            of_sqlstate("42704", Some("get_publication_oid")),
            FaultCode::PublicationMissing
        );
        assert_eq!(
            of_sqlstate("42704", Some("ReplicationSlotAcquire")),
            FaultCode::SlotMissing
        );
        assert_eq!(of_sqlstate("42704", Some("typenameType")), FaultCode::PostgresRefused);
        assert_eq!(of_sqlstate("57P03", None), FaultCode::PostgresUnreachable);
        assert_eq!(of_notice("LoadPublications"), Some(FaultCode::PublicationMissing));
        assert_eq!(of_notice("exec_simple_query"), None);
    }

    #[test]
    fn an_operators_mistake_is_never_an_events_defect() {
        for code in [
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::TopicAuthorizationFailed,
        ] {
            assert_eq!(of_kafka(code).kind(), FaultKind::Environment, "{code:?}");
        }
    }
}

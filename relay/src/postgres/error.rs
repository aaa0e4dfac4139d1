//! What a server says when it refuses, and what else can happen to a connection.

use std::io;
use std::path::PathBuf;

use fallible_iterator::FallibleIterator;
use outbox_decoder::DecodeError;
use postgres_protocol::message::backend::{ErrorFields, Message};

use crate::config::Host;

/// An error or notice of the server. Decide by `sqlstate` and `routine`: the texts may be translated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Severity, not translated.
    pub severity: String,
    /// SQLSTATE.
    pub sqlstate: String,
    /// What happened.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What the server advises.
    pub hint: Option<String>,
    /// The function of the server that said so.
    pub routine: Option<String>,
}

impl ServerError {
    /// Reads the fields of an error or a notice. Fields that cannot be read are left empty.
    pub fn from_fields(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'V' => error.severity = value,
                // Perhaps translated; a pooler gives no other.
                b'S' if error.severity.is_empty() => error.severity = value,
                b'C' => error.sqlstate = value,
                b'M' => error.message = value,
                b'D' => error.detail = Some(value),
                b'H' => error.hint = Some(value),
                b'R' => error.routine = Some(value),
                _ => {}
            }
        }
        error
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.sqlstate, self.message)?;
        self.detail.iter().try_for_each(|detail| write!(f, " ({detail})"))
    }
}

/// What can happen to a connection to PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The network, or the other side is gone.
    #[error("{0}")]
    Io(io::Error),
    /// The server closed the connection without a word: `wal_sender_timeout`, a crash, or something in between.
    #[error("the server closed the connection")]
    Closed,
    /// It took too long.
    #[error("{what} took longer than {timeout_ms} ms")]
    TimedOut {
        /// What did.
        what: &'static str,
        /// The limit.
        timeout_ms: u64,
    },
    /// The server said no.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The server asks for an authentication that is not acceptable.
    #[error("the server asks for {0} authentication")]
    Authentication(&'static str),
    /// The connection could not be encrypted, or the server is not who it should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Binding the login to the encrypted connection is required, and the server cannot or does not want to.
    #[error("postgres.channel_binding is require, and {0}")]
    ChannelBinding(&'static str),
    /// One of several hosts said so.
    #[error("{host}: {error}")]
    At {
        /// Which.
        host: Host,
        /// What.
        error: Box<PostgresError>,
    },
    /// None of several hosts takes writes.
    #[error("{0} is a standby: it takes no writes")]
    Standby(String),
    /// SCRAM failed: the server does not know the password either, or the iteration count is out of bounds.
    #[error("SCRAM authentication failed: {0}")]
    Scram(io::Error),
    /// The server wants a password and none is configured.
    #[error("the server asks for a password and none is configured")]
    NoPassword,
    /// The password cannot be had.
    #[error("{0}")]
    Secret(String),
    /// The server broke the protocol.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The server answered with something else than what was asked for.
    #[error("the server sent {got} where {wanted} was expected")]
    Unexpected {
        /// What came.
        got: String,
        /// What should have come.
        wanted: &'static str,
    },
    /// A statement on the control connection failed.
    #[error("{}", control_message(.0))]
    Control(#[from] tokio_postgres::Error),
}

/// Why a connection is not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server has TLS switched off.
    #[error("the server does not offer TLS")]
    NotOffered,
    /// A certificate or key of our own cannot be used.
    #[error("{path} cannot be used: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The relay's key has a passphrase, and this one, if any, is not it.
    #[error("the key {path} is encrypted, and {why}")]
    Passphrase {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The server's certificate is not one to trust.
    #[error("the certificate of {host} is refused: {why}")]
    Certificate {
        /// Who was connected to.
        host: String,
        /// Why.
        why: &'static str,
    },
    /// The two sides found no common way.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
}

/// The driver's own message says only "db error".
fn control_message(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} {}: {}", db.severity(), db.code().code(), db.message()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// TLS may speak up after the handshake, in the words of the socket.
impl From<io::Error> for PostgresError {
    fn from(error: io::Error) -> Self {
        match late_refusal(&error) {
            Some(refusal) => Self::Tls(refusal),
            None => Self::Io(error),
        }
    }
}

impl From<ServerError> for PostgresError {
    fn from(error: ServerError) -> Self {
        Self::Server(Box::new(error))
    }
}

impl PostgresError {
    /// Bytes that the protocol library cannot read as a message.
    pub fn unreadable(error: &io::Error) -> Self {
        Self::Unexpected {
            got: error.to_string(),
            wanted: "a message of the protocol",
        }
    }

    /// The error itself, whichever host it is of.
    pub fn innermost(&self) -> &Self {
        match self {
            Self::At { error, .. } => error.innermost(),
            _ => self,
        }
    }

    /// The server's SQLSTATE, where it gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.sqlstate),
            Self::At { error, .. } => error.sqlstate(),
            Self::Control(error) => error.code().map(tokio_postgres::error::SqlState::code),
            _ => None,
        }
    }
}

/// Names a message that came where another one should have.
pub(super) fn unexpected(message: &Message, wanted: &'static str) -> PostgresError {
    let got = match message {
        Message::AuthenticationOk => "AuthenticationOk",
        Message::CommandComplete(_) => "CommandComplete",
        Message::CopyData(_) => "CopyData",
        Message::CopyDone => "CopyDone",
        Message::DataRow(_) => "DataRow",
        Message::ReadyForQuery(_) => "ReadyForQuery",
        Message::RowDescription(_) => "RowDescription",
        _ => "another message",
    };
    PostgresError::Unexpected {
        got: got.to_owned(),
        wanted,
    }
}

/// What the other side says against the handshake after this side thought it done: in TLS 1.3 it looks at the relay's
/// certificate only then.
pub(super) fn late_refusal(error: &io::Error) -> Option<TlsError> {
    let error = error.get_ref()?.downcast_ref::<openssl::ssl::Error>()?;
    let reason = error.ssl_error()?;
    Some(TlsError::Handshake(reason.to_string()))
}

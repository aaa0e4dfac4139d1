//! The replication connection: a walsender on the other side.
//!
//! Upstream drivers have no replication protocol, so the messages are read here, with `postgres-protocol` for all that
//! it knows. Source: PostgreSQL documentation, "Streaming Replication Protocol".

use std::io;

use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use outbox_decoder::Lsn;
use outbox_decoder::stream::frame_bytes;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;
use secrecy::SecretString;
use tokio::time::{Duration, timeout};

use crate::config::PostgresSettings;
use crate::postgres::error::{PostgresError, ServerError};
use crate::postgres::socket::Socket;
use crate::postgres::startup::unexpected;
use crate::postgres::stream::ReplicationStream;

pub(super) const READ_BYTES: usize = 256 * 1024;
const COPY_BOTH_RESPONSE: u8 = b'W';
const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
const NOTICE_RESPONSE: u8 = b'N';
const PARAMETER_STATUS: u8 = b'S';

/// A logged-in walsender connection that is not streaming.
#[derive(Debug)]
pub struct ReplicationConnection {
    pub(super) socket: Socket,
    pub(super) buffer: BytesMut,
    pub(super) frame_bytes_max: usize,
    pub(super) timeout_ms: u64,
}

/// Who the server is: what an LSN means anything on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Made by `initdb`; standbys share it.
    pub system_identifier: u64,
    /// Grows with every promotion.
    pub timeline: u32,
    /// End of the flushed WAL.
    pub flushed: Lsn,
}

type TextRow = Vec<Option<String>>;

impl ReplicationConnection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// See [`PostgresError`]; all of it within `connect_timeout_ms`.
    pub async fn connect(settings: &PostgresSettings, password: Option<&SecretString>) -> Result<Self, PostgresError> {
        let timeout_ms = settings.connect_timeout_ms;
        let connect = async {
            let socket = Socket::connect(settings).await?;
            let buffer = BytesMut::with_capacity(READ_BYTES);
            let mut connection = Self {
                socket,
                buffer,
                frame_bytes_max: settings.frame_bytes_max,
                timeout_ms,
            };
            connection.start_up(settings, password).await?;
            Ok(connection)
        };
        within("connecting", timeout_ms, connect).await
    }

    /// Asks who the server is.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn identify_system(&mut self) -> Result<Identity, PostgresError> {
        let rows = self.query("IDENTIFY_SYSTEM").await?;
        let column = |index: usize| rows.first().and_then(|row| row.get(index)?.as_deref());
        let identity = || {
            Some(Identity {
                system_identifier: column(0)?.parse().ok()?,
                timeline: column(1)?.parse().ok()?,
                flushed: column(2)?.parse().ok()?,
            })
        };
        identity().ok_or(PostgresError::Unexpected {
            got: format!("{rows:?}"),
            wanted: "system identifier, timeline and WAL position",
        })
    }

    /// The LSN at which a timeline forked from the one before it.
    ///
    /// # Errors
    /// See [`PostgresError`]; also a history that cannot be read.
    pub async fn switch_point(&mut self, timeline: u32, from: u32) -> Result<Lsn, PostgresError> {
        let rows = self.query(&format!("TIMELINE_HISTORY {timeline}")).await?;
        let history = rows.first().and_then(|row| row.get(1)?.clone()).unwrap_or_default();
        switch_point(&history, from).ok_or(PostgresError::Unexpected {
            got: history,
            wanted: "a timeline history with the timeline in it",
        })
    }

    /// Creates a logical slot with `pgoutput`. Waits for every transaction that is running.
    ///
    /// # Errors
    /// See [`PostgresError`]; 42710 when it exists.
    pub async fn create_slot(&mut self, slot: &str, wait_ms: u64) -> Result<Lsn, PostgresError> {
        self.timeout_ms = wait_ms;
        // The syntax that every version from 14 on understands.
        let command = format!(
            "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT",
            quoted(slot)
        );
        let rows = self.query(&command).await?;
        let point = rows.first().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
        point.ok_or(PostgresError::Unexpected {
            got: format!("{rows:?}"),
            wanted: "the slot's consistent point",
        })
    }

    /// Begins streaming at the slot's own confirmed position.
    ///
    /// # Errors
    /// See [`PostgresError`]; 55006 while another connection holds the slot.
    pub async fn start(mut self, slot: &str, publication: &str) -> Result<ReplicationStream, PostgresError> {
        let command = start_replication(slot, publication);
        let mut out = BytesMut::new();
        frontend::query(&command, &mut out)?;
        self.write(&out).await?;
        let timeout_ms = self.timeout_ms;
        within("START_REPLICATION", timeout_ms, self.copy_both()).await?;
        Ok(ReplicationStream::new(self))
    }

    async fn copy_both(&mut self) -> Result<(), PostgresError> {
        if self.next_answer().await? != COPY_BOTH_RESPONSE {
            let other = self.message().await?;
            return Err(unexpected(&other, "the start of the stream"));
        }
        let bytes = frame_bytes(&self.buffer, self.frame_bytes_max)?.unwrap_or(0);
        self.buffer.advance(bytes);
        Ok(())
    }

    async fn query(&mut self, command: &str) -> Result<Vec<TextRow>, PostgresError> {
        let mut out = BytesMut::new();
        frontend::query(command, &mut out)?;
        self.write(&out).await?;
        within("a replication command", self.timeout_ms, self.rows()).await
    }

    async fn rows(&mut self) -> Result<Vec<TextRow>, PostgresError> {
        let mut rows = Vec::new();
        loop {
            match self.message().await? {
                Message::RowDescription(_) | Message::CommandComplete(_) => {}
                Message::DataRow(row) => rows.push(text_row(&row)?),
                Message::ReadyForQuery(_) => return Ok(rows),
                other => return Err(unexpected(&other, "the answer to a command")),
            }
        }
    }

    /// The next message that is neither a notice nor a parameter; the server's error as an error.
    pub(super) async fn message(&mut self) -> Result<Message, PostgresError> {
        let tag = self.next_answer().await?;
        if tag == COPY_BOTH_RESPONSE || tag == NEGOTIATE_PROTOCOL_VERSION {
            // The library does not know them.
            let got = format!("message {:?}", char::from(tag));
            return Err(PostgresError::Unexpected {
                got,
                wanted: "an answer",
            });
        }
        match self.parse()?.ok_or(PostgresError::Closed)? {
            Message::ErrorResponse(body) => Err(ServerError::from_fields(body.fields()).into()),
            message => Ok(message),
        }
    }

    fn parse(&mut self) -> Result<Option<Message>, PostgresError> {
        Message::parse(&mut self.buffer).map_err(|error| PostgresError::unreadable(&error))
    }

    /// Skips parameters, logs notices, and says what kind of frame is first in the buffer then.
    async fn next_answer(&mut self) -> Result<u8, PostgresError> {
        loop {
            let tag = self.next_tag().await?;
            if tag != NOTICE_RESPONSE && tag != PARAMETER_STATUS {
                return Ok(tag);
            }
            if let Some(Message::NoticeResponse(body)) = self.parse()? {
                tracing::warn!("PostgreSQL: {}", ServerError::from_fields(body.fields()));
            }
        }
    }

    /// Reads until a whole frame is in the buffer, and says which kind.
    async fn next_tag(&mut self) -> Result<u8, PostgresError> {
        loop {
            let needed = frame_bytes(&self.buffer, self.frame_bytes_max)?;
            match (needed, self.buffer.first()) {
                (Some(bytes), Some(&tag)) if self.buffer.len() >= bytes => return Ok(tag),
                _ => self.socket.readable().await?,
            }
            self.read_some(needed.unwrap_or(READ_BYTES))?;
        }
    }

    /// Takes what the socket has; 0 when it has nothing after all.
    pub(super) fn read_some(&mut self, wanted: usize) -> Result<usize, PostgresError> {
        if self.buffer.is_empty() && self.buffer.capacity() > READ_BYTES * 4 {
            // A large row has gone by; its memory goes with it.
            self.buffer = BytesMut::new();
        }
        let room = wanted.saturating_sub(self.buffer.len()).max(READ_BYTES);
        self.buffer.reserve(room);
        match self.socket.try_read(&mut self.buffer) {
            Ok(0) => Err(PostgresError::Closed),
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), PostgresError> {
        within("writing", self.timeout_ms, async {
            Ok(self.socket.write_all(bytes).await?)
        })
        .await
    }
}

pub(super) async fn within<T>(
    what: &'static str,
    timeout_ms: u64,
    work: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    timeout(Duration::from_millis(timeout_ms), work)
        .await
        .unwrap_or(Err(PostgresError::TimedOut { what, timeout_ms }))
}

fn text_row(row: &DataRowBody) -> Result<TextRow, PostgresError> {
    let bytes = row.buffer();
    let column = |range: Option<std::ops::Range<usize>>| {
        Ok(range
            .and_then(|range| bytes.get(range))
            .map(|value| String::from_utf8_lossy(value).into_owned()))
    };
    Ok(row.ranges().map(column).collect()?)
}

/// Quoted twice over: `publication_names` is a string that holds a list of identifiers.
fn start_replication(slot: &str, publication: &str) -> String {
    format!(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names '{}', binary 'true')",
        quoted(slot),
        quoted(publication).replace('\'', "''"),
    )
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Where a timeline ended, from the lines `timeline <tab> LSN <tab> reason` of a history file.
fn switch_point(history: &str, timeline: u32) -> Option<Lsn> {
    let mut lines = history.lines().map(|line| line.split('\t'));
    lines.find_map(|mut fields| {
        let is_it = fields.next()?.trim().parse() == Ok(timeline);
        is_it.then(|| fields.next()?.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_on_both_levels() {
        let command = start_replication("s", "it's \"p\"");
        assert!(command.contains(r#"publication_names '"it''s ""p"""'"#), "{command}");
    }

    #[test]
    fn a_switch_point_is_read_from_the_timeline_history() {
        let history = "1\t0/3000060\tno recovery target specified\n2\t0/50001A8\tbefore 2026-01-01\n";
        assert_eq!(switch_point(history, 1), Some(Lsn::new(0x0300_0060)));
        assert_eq!(switch_point(history, 2), Some(Lsn::new(0x0500_01A8)));
        assert_eq!(switch_point(history, 3), None);
    }
}

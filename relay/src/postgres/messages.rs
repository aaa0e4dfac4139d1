//! Messages of the protocol on one connection: read whole, the server's errors as errors.
//!
//! Upstream drivers have no replication protocol, so the messages are read here, with `postgres-protocol` for all that
//! it knows.

use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use outbox_decoder::stream::frame_bytes;
use postgres_protocol::message::backend::Message;
use tokio::io::AsyncWriteExt;
use tokio::time::{Duration, timeout};

use crate::config::{Host, PostgresSettings};
use crate::postgres::error::{PostgresError, ServerError};
use crate::postgres::socket::Socket;

pub(super) const READ_BYTES: usize = 256 * 1024;
pub(super) const COPY_BOTH_RESPONSE: u8 = b'W';
const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
const NOTICE_RESPONSE: u8 = b'N';
const PARAMETER_STATUS: u8 = b'S';

/// A connection and what was read from it and not consumed yet.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) socket: Socket,
    pub(super) buffer: BytesMut,
    pub(super) frame_bytes_max: usize,
    pub(super) timeout_ms: u64,
    /// A write ended in the middle of a message: whatever followed would be read as its rest.
    is_torn: bool,
}

impl Messages {
    pub(super) async fn connect(
        settings: &PostgresSettings,
        host: &Host,
        address: Option<SocketAddr>,
    ) -> Result<Self, PostgresError> {
        Ok(Self {
            socket: Socket::connect(settings, host, address).await?,
            buffer: BytesMut::with_capacity(READ_BYTES),
            frame_bytes_max: settings.frame_bytes_max,
            timeout_ms: settings.connect_timeout_ms,
            is_torn: false,
        })
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
    pub(super) async fn next_answer(&mut self) -> Result<u8, PostgresError> {
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
                _ => self.read_some(needed.unwrap_or(READ_BYTES)).await?,
            };
        }
    }

    /// Waits for bytes and takes what is there.
    pub(super) async fn read_some(&mut self, wanted: usize) -> Result<usize, PostgresError> {
        if self.buffer.is_empty() && self.buffer.capacity() > READ_BYTES * 4 {
            // A large row has gone by; its memory goes with it.
            self.buffer = BytesMut::new();
        }
        let room = wanted.saturating_sub(self.buffer.len()).max(READ_BYTES);
        self.buffer.reserve(room);
        match self.socket.read(&mut self.buffer).await? {
            0 => Err(PostgresError::Closed),
            bytes => Ok(bytes),
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), PostgresError> {
        if self.is_torn {
            return Err(PostgresError::Closed);
        }
        self.is_torn = true;
        within("writing", self.timeout_ms, async {
            self.socket.write_all(bytes).await?;
            Ok(self.socket.flush().await?)
        })
        .await?;
        self.is_torn = false;
        Ok(())
    }

    /// Moves on over the frame that is first in the buffer, whole.
    pub(super) fn skip_frame(&mut self) -> Result<(), PostgresError> {
        let bytes = frame_bytes(&self.buffer, self.frame_bytes_max)?.unwrap_or(0);
        self.buffer.advance(bytes);
        Ok(())
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

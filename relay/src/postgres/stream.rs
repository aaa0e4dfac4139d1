//! A walsender connection while it streams: read lazily, answered in between.

use std::time::Instant;

use bytes::{Buf, BytesMut};
use outbox_decoder::stream::{COPY_DATA, StatusUpdate, frame_bytes};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::postgres::error::PostgresError;
use crate::postgres::pace::Pace;
use crate::postgres::replication::{READ_BYTES, ReplicationConnection, within};
use crate::postgres::startup::unexpected;

/// A walsender connection that streams.
#[derive(Debug)]
pub struct ReplicationStream {
    connection: ReplicationConnection,
    pace: Pace,
    nap_until: Option<Instant>,
}

impl ReplicationStream {
    pub(super) fn new(connection: ReplicationConnection) -> Self {
        Self {
            connection,
            pace: Pace::new(Instant::now()),
            nap_until: None,
        }
    }

    /// What was read and not consumed yet.
    pub fn buffer(&self) -> &[u8] {
        &self.connection.buffer
    }

    /// Moves on over the first `bytes` of the buffer.
    pub fn consume(&mut self, bytes: usize) {
        self.connection.buffer.advance(bytes);
    }

    /// Reads more into the buffer, after a wait when a backlog is streaming in. Nothing is lost when it is cancelled.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn read(&mut self) -> Result<(), PostgresError> {
        if let Some(until) = self.nap_until {
            tokio::time::sleep_until(until.into()).await;
            self.nap_until = None;
        }
        self.connection.socket.readable().await?;
        let needed = frame_bytes(&self.connection.buffer, self.connection.frame_bytes_max)?;
        let bytes = self.connection.read_some(needed.unwrap_or(READ_BYTES))?;
        if bytes > 0 && self.connection.socket.is_tcp() {
            let now = Instant::now();
            let wait = self.pace.after_read(bytes, now);
            self.nap_until = (!wait.is_zero()).then(|| now + wait);
        }
        Ok(())
    }

    /// Tells the server how far the relay is.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn send_status(&mut self, status: StatusUpdate) -> Result<(), PostgresError> {
        let mut frame = [0; 39];
        frame[0] = COPY_DATA;
        frame[1..5].copy_from_slice(&38_u32.to_be_bytes());
        frame[5..].copy_from_slice(&status.encode());
        self.connection.write(&frame).await
    }

    /// Ends the stream. When this returns, the server has seen every status update sent before.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn finish(mut self) -> Result<(), PostgresError> {
        let mut out = BytesMut::new();
        frontend::copy_done(&mut out);
        self.connection.write(&out).await?;
        let timeout_ms = self.connection.timeout_ms;
        let ended = async {
            loop {
                match self.connection.message().await? {
                    Message::ReadyForQuery(_) => return Ok(()),
                    Message::CopyData(_) | Message::CopyDone | Message::CommandComplete(_) => {}
                    other => return Err(unexpected(&other, "the end of the stream")),
                }
            }
        };
        within("ending the stream", timeout_ms, ended).await?;
        out.clear();
        frontend::terminate(&mut out);
        self.connection.write(&out).await
    }
}

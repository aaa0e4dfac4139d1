//! A walsender connection while it streams: read lazily, answered in between.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use outbox_decoder::stream::{COPY_DATA, StatusUpdate, frame_bytes};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::postgres::error::{PostgresError, unexpected};
use crate::postgres::messages::{COPY_BOTH_RESPONSE, Messages, READ_BYTES, within};
use crate::postgres::pace::Pace;
use crate::postgres::replication::{ReplicationConnection, quoted};

/// A walsender connection that streams.
#[derive(Debug)]
pub struct ReplicationStream {
    messages: Messages,
    pace: Pace,
    nap_until: Option<Instant>,
}

impl ReplicationStream {
    /// Begins streaming at the slot's own confirmed position.
    ///
    /// # Errors
    /// See [`PostgresError`]; 55006 while another connection holds the slot.
    pub async fn start(
        connection: ReplicationConnection,
        slot: &str,
        publication: &str,
    ) -> Result<Self, PostgresError> {
        let mut messages = connection.messages;
        let command = start_replication(slot, publication);
        let mut out = BytesMut::new();
        frontend::query(&command, &mut out)?;
        messages.write(&out).await?;
        let timeout_ms = messages.timeout_ms;
        within("START_REPLICATION", timeout_ms, copy_both(&mut messages)).await?;
        Ok(Self {
            messages,
            pace: Pace::new(Instant::now()),
            nap_until: None,
        })
    }

    /// What was read and not consumed yet.
    pub fn buffer(&self) -> &[u8] {
        &self.messages.buffer
    }

    /// Moves on over the first `bytes` of the buffer. How many rows they held tells a backlog from a few large ones.
    pub fn consume(&mut self, bytes: usize, rows: u64) {
        self.messages.buffer.advance(bytes);
        self.pace.took(rows);
    }

    /// How long the next read still lets bytes gather.
    pub fn nap_left(&self, now: Instant) -> Duration {
        let until = self.nap_until.unwrap_or(now);
        until.saturating_duration_since(now)
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
        let needed = frame_bytes(&self.messages.buffer, self.messages.frame_bytes_max)?;
        let bytes = self.messages.read_some(needed.unwrap_or(READ_BYTES)).await?;
        if self.messages.socket.is_network() {
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
        self.messages.write(&frame).await
    }

    /// Ends the stream. When this returns, the server has seen every status update sent before.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn finish(mut self) -> Result<(), PostgresError> {
        let mut out = BytesMut::new();
        frontend::copy_done(&mut out);
        self.messages.write(&out).await?;
        let timeout_ms = self.messages.timeout_ms;
        let ended = async {
            loop {
                match self.messages.message().await? {
                    Message::ReadyForQuery(_) => return Ok(()),
                    Message::CopyData(_) | Message::CopyDone | Message::CommandComplete(_) => {}
                    other => return Err(unexpected(&other, "the end of the stream")),
                }
            }
        };
        within("ending the stream", timeout_ms, ended).await?;
        out.clear();
        frontend::terminate(&mut out);
        self.messages.write(&out).await
    }
}

async fn copy_both(messages: &mut Messages) -> Result<(), PostgresError> {
    if messages.next_answer().await? == COPY_BOTH_RESPONSE {
        return messages.skip_frame();
    }
    let other = messages.message().await?;
    Err(unexpected(&other, "the start of the stream"))
}

/// Quoted twice over: `publication_names` is a string that holds a list of identifiers.
fn start_replication(slot: &str, publication: &str) -> String {
    format!(
        "START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names '{}', binary 'true')",
        quoted(slot),
        quoted(publication).replace('\'', "''"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_on_both_levels() {
        let command = start_replication("s", "it's \"p\"");
        assert!(command.contains(r#"publication_names '"it''s ""p"""'"#), "{command}");
    }
}

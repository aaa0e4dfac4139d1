//! The replication connection before it streams: a walsender on the other side that answers commands.
//!
//! Source: PostgreSQL documentation, "Streaming Replication Protocol".

use std::net::SocketAddr;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use outbox_decoder::Lsn;
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use crate::config::{Host, PostgresSettings};
use crate::postgres::error::{PostgresError, unexpected};
use crate::postgres::messages::{Messages, within};
use crate::postgres::startup::{log_in, reveal_password};

/// A logged-in walsender connection that is not streaming.
#[derive(Debug)]
pub struct ReplicationConnection {
    pub(super) messages: Messages,
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
    /// Connects and logs in; to `address`, where the name may lead to several.
    ///
    /// # Errors
    /// See [`PostgresError`]; all of it within `connect_timeout_ms`.
    pub async fn connect(
        settings: &PostgresSettings,
        host: &Host,
        address: Option<SocketAddr>,
    ) -> Result<Self, PostgresError> {
        let password = reveal_password(settings, host)?;
        let timeout_ms = settings.connect_timeout_ms;
        let connect = async {
            let mut messages = Messages::connect(settings, host, address).await?;
            log_in(&mut messages, settings, password.as_ref()).await?;
            Ok(Self { messages })
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
    pub async fn create_slot(&mut self, slot: &str, failover: bool, wait_ms: u64) -> Result<Lsn, PostgresError> {
        Ok(self.create(slot, failover, "nothing", wait_ms).await?.0)
    }

    /// The same, and names a snapshot that shows exactly what committed before the slot's start. It can be taken by others
    /// until this connection is given another command.
    ///
    /// # Errors
    /// Those of [`ReplicationConnection::create_slot`].
    pub async fn create_slot_with_snapshot(
        &mut self,
        slot: &str,
        failover: bool,
        wait_ms: u64,
    ) -> Result<(Lsn, String), PostgresError> {
        let (point, snapshot) = self.create(slot, failover, "export", wait_ms).await?;
        let snapshot = snapshot.ok_or(PostgresError::Unexpected {
            got: "nothing".to_owned(),
            wanted: "the name of a snapshot",
        })?;
        Ok((point, snapshot))
    }

    async fn create(
        &mut self,
        slot: &str,
        failover: bool,
        snapshot: &str,
        wait_ms: u64,
    ) -> Result<(Lsn, Option<String>), PostgresError> {
        self.messages.timeout_ms = wait_ms;
        // Without the option there is a syntax that every version from 14 on understands; the other is known from 17 on.
        let options = match (failover, snapshot) {
            (true, snapshot) => format!("(FAILOVER true, SNAPSHOT '{snapshot}')"),
            (false, "export") => "EXPORT_SNAPSHOT".to_owned(),
            (false, _) => "NOEXPORT_SNAPSHOT".to_owned(),
        };
        let command = format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput {options}", quoted(slot));
        let rows = self.query(&command).await?;
        let column = |index: usize| rows.first().and_then(|row| row.get(index)?.clone());
        match column(1).and_then(|point| point.parse().ok()) {
            Some(point) => Ok((point, column(2))),
            None => Err(PostgresError::Unexpected {
                got: format!("{rows:?}"),
                wanted: "the slot's consistent point",
            }),
        }
    }

    /// Lets standbys keep a slot that nobody streams from (PostgreSQL 17 and later).
    ///
    /// # Errors
    /// The server refuses, or the connection is lost.
    pub async fn keep_slot_on_standbys(&mut self, slot: &str) -> Result<(), PostgresError> {
        let command = format!("ALTER_REPLICATION_SLOT {} (FAILOVER true)", quoted(slot));
        self.query(&command).await.map(drop)
    }

    async fn query(&mut self, command: &str) -> Result<Vec<TextRow>, PostgresError> {
        let mut out = BytesMut::new();
        frontend::query(command, &mut out)?;
        self.messages.write(&out).await?;
        within("a replication command", self.messages.timeout_ms, self.rows()).await
    }

    async fn rows(&mut self) -> Result<Vec<TextRow>, PostgresError> {
        let mut rows = Vec::new();
        loop {
            match self.messages.message().await? {
                Message::RowDescription(_) | Message::CommandComplete(_) => {}
                Message::DataRow(row) => rows.push(text_row(&row)?),
                Message::ReadyForQuery(_) => return Ok(rows),
                other => return Err(unexpected(&other, "the answer to a command")),
            }
        }
    }
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

pub(super) fn quoted(identifier: &str) -> String {
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
    fn a_switch_point_is_read_from_the_timeline_history() {
        let history = "1\t0/3000060\tno recovery target specified\n2\t0/50001A8\tbefore 2026-01-01\n";
        assert_eq!(switch_point(history, 1), Some(Lsn::new(0x0300_0060)));
        assert_eq!(switch_point(history, 2), Some(Lsn::new(0x0500_01A8)));
        assert_eq!(switch_point(history, 3), None);
    }
}

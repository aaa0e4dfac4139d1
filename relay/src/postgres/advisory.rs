//! The advisory row: what this slot's relay last knew. It can make a relay refuse; it never moves a position.
//!
//! Without a memory, a restored server cannot be told from the old one. The slot stays the only position, because two
//! positions that disagree are the classic silent loss.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outbox_decoder::{Lsn, Timestamp};
use tokio_postgres::Client;

use crate::postgres::error::PostgresError;
use crate::postgres::replication::Identity;

/// At most one write in this time, and only after events: a write makes WAL and must never feed itself.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);
/// A busy relay that was alive after its last write would have written again by then. One that was killed with its first
/// events after a long silence is missed: the count is an estimate.
const REPLAY_MARGIN_US: i64 = 11_000_000;

/// What is known of the server from before: from the row, or from this process's own connection before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The server.
    pub system_identifier: u64,
    /// Its timeline.
    pub timeline: u32,
    /// A position that it had.
    pub confirmed: Lsn,
}

/// The row as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdvisoryRow {
    /// The server that it speaks of, and the last position confirmed there, or a little less.
    pub remembered: Remembered,
    /// The relay drained before it stopped.
    pub clean_stop: bool,
    /// When it was written, by the server's clock.
    pub written_at: Timestamp,
}

impl AdvisoryRow {
    /// Events that committed until then may have been published by a relay that could not say goodbye.
    pub fn replayed_until(&self) -> Option<Timestamp> {
        let until = Timestamp::from_unix_us(self.written_at.as_unix_us().saturating_add(REPLAY_MARGIN_US));
        (!self.clean_stop).then_some(until)
    }
}

/// Writes the row now and then.
#[derive(Debug)]
pub struct Advisory {
    slot: String,
    identity: Identity,
    written: (Instant, Lsn),
}

impl Advisory {
    /// For one slot of one server, whose row was written now by [`Advisory::begin`].
    pub const fn new(slot: String, identity: Identity, now: Instant) -> Self {
        Self {
            slot,
            identity,
            written: (now, Lsn::ZERO),
        }
    }

    /// Writes that a relay begins on the slot. From then on a missing row means that somebody had it forgotten.
    ///
    /// # Errors
    /// The statement failed: without a memory, a restored server could not be told from the old one.
    pub async fn begin(client: &Client, slot: &str, identity: &Identity) -> Result<(), PostgresError> {
        write(client, slot, identity, Lsn::ZERO, false).await
    }

    /// Reads the row; `None` when the slot never had a relay.
    ///
    /// # Errors
    /// The statement failed: the schema is not migrated, or the role has no right to it.
    pub async fn read(client: &Client, slot: &str) -> Result<Option<AdvisoryRow>, PostgresError> {
        let row = client
            .query_opt(
                "SELECT system_identifier, timeline, confirmed_lsn::text, clean_stop,
                        (extract(epoch FROM written_at) * 1000000)::int8
                 FROM outbox_relay.advisory WHERE slot_name = $1",
                &[&slot],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let unreadable = |what: &str| PostgresError::Unexpected {
            got: what.to_owned(),
            wanted: "a row of outbox_relay.advisory as the relay wrote it",
        };
        let system_identifier: &str = row.try_get(0)?;
        let confirmed: &str = row.try_get(2)?;
        Ok(Some(AdvisoryRow {
            remembered: Remembered {
                system_identifier: system_identifier.parse().map_err(|_| unreadable(system_identifier))?,
                timeline: row
                    .try_get::<_, i64>(1)?
                    .try_into()
                    .map_err(|_| unreadable("a negative timeline"))?,
                confirmed: confirmed.parse().map_err(|_| unreadable(confirmed))?,
            },
            clean_stop: row.try_get(3)?,
            written_at: Timestamp::from_unix_us(row.try_get(4)?),
        }))
    }

    /// Whether a write is due: something new was confirmed, and the last write is long enough ago.
    pub fn is_due(&self, confirmed: Lsn, now: Instant) -> bool {
        let (at, lsn) = self.written;
        lsn < confirmed && now.duration_since(at) >= WRITE_INTERVAL
    }

    /// Writes the row.
    pub fn write(
        &mut self,
        client: &Arc<Client>,
        confirmed: Lsn,
        clean_stop: bool,
        now: Instant,
    ) -> impl Future<Output = Result<(), PostgresError>> + use<> {
        self.written = (now, confirmed);
        let client = Arc::clone(client);
        let (slot, identity) = (self.slot.clone(), self.identity.clone());
        async move { write(&client, &slot, &identity, confirmed, clean_stop).await }
    }

    /// Forgets a slot: it was dropped, or created anew.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn forget(client: &Client, slot: &str) -> Result<(), PostgresError> {
        client
            .execute("DELETE FROM outbox_relay.advisory WHERE slot_name = $1", &[&slot])
            .await?;
        Ok(())
    }
}

async fn write(
    client: &Client,
    slot: &str,
    identity: &Identity,
    confirmed: Lsn,
    clean_stop: bool,
) -> Result<(), PostgresError> {
    let system_identifier = identity.system_identifier.to_string();
    let timeline = i64::from(identity.timeline);
    client
        .execute(
            "INSERT INTO outbox_relay.advisory AS row
                 (slot_name, system_identifier, timeline, confirmed_lsn, clean_stop, written_at)
             VALUES ($1, $2, $3, $4::text::pg_lsn, $5, clock_timestamp())
             ON CONFLICT (slot_name) DO UPDATE SET
                 system_identifier = excluded.system_identifier,
                 timeline = excluded.timeline,
                 confirmed_lsn = greatest(row.confirmed_lsn, excluded.confirmed_lsn),
                 clean_stop = excluded.clean_stop,
                 written_at = excluded.written_at",
            &[
                &slot,
                &system_identifier,
                &timeline,
                &confirmed.to_string(),
                &clean_stop,
            ],
        )
        .await?;
    Ok(())
}

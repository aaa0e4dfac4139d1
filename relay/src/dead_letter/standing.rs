//! What the table of dead letters holds, and what somebody has asked for, read on the control connection.

use std::collections::BTreeMap;

use outbox_decoder::{Lsn, Timestamp};
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Row};

use super::table::may_go;
use crate::config::Settings;
use crate::pipeline::{Controls, Place, Standing};
use crate::postgres::PostgresError;

/// Reads what a stream that begins now has to know.
///
/// # Errors
/// A statement failed: the schema is not migrated, or the role has no right to it.
pub(crate) async fn read_standing(
    client: &Client,
    slot: &str,
    system_identifier: u64,
) -> Result<Standing, PostgresError> {
    let parked = client
        .query(
            // A letter of another server is older than whatever this one has.
            "SELECT DISTINCT ON (topic, key) CASE WHEN system_identifier = $2 THEN commit_lsn ELSE '0/0' END, ordinal, topic, key
             FROM outbox_relay.dead_letters
             WHERE slot_name = $1 AND state IN ('failed', 'parked', 'redriving') AND parks_key
                 AND topic IS NOT NULL AND key IS NOT NULL
             ORDER BY topic, key, (system_identifier = $2), commit_lsn, ordinal",
            &[&slot, &system_identifier.to_string()],
        )
        .await?;
    let parked = parked
        .iter()
        .map(|row| Ok(((row.try_get(2)?, row.try_get(3)?), place(row)?)));
    let parked = parked.collect::<Result<_, PostgresError>>()?;
    let known = client
        .query(
            "SELECT d.commit_lsn, d.ordinal FROM outbox_relay.dead_letters d
                 JOIN pg_replication_slots s USING (slot_name)
             WHERE d.slot_name = $1 AND d.system_identifier = $2 AND d.commit_lsn >= s.confirmed_flush_lsn",
            &[&slot, &system_identifier.to_string()],
        )
        .await?;
    let known = known.iter().map(place).collect::<Result<_, PostgresError>>()?;
    let unresolved = read_figures(client, slot).await?.unresolved();
    // After the rest: whatever was read had committed before it.
    let here = client.query_one("SELECT pg_current_wal_lsn()", &[]).await?;
    Ok(Standing {
        parked,
        known,
        until: lsn(here.try_get(0)?),
        unresolved,
    })
}

fn place(row: &Row) -> Result<Place, PostgresError> {
    let ordinal: i64 = row.try_get(1)?;
    let ordinal = u32::try_from(ordinal).map_err(|_| PostgresError::Unexpected {
        got: format!("the ordinal {ordinal}"),
        wanted: "a row of outbox_relay.dead_letters as the relay wrote it",
    })?;
    Ok((lsn(row.try_get(0)?), ordinal))
}

/// An LSN of a row.
pub(crate) fn lsn(lsn: PgLsn) -> Lsn {
    Lsn::new(lsn.into())
}

/// Reads what somebody has asked for.
///
/// # Errors
/// A statement failed.
pub(crate) async fn read_controls(client: &Client, settings: &Settings) -> Result<Controls, PostgresError> {
    let row = client
        .query_one(
            &format!(
                "SELECT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = $1 AND {}),
                 ARRAY(SELECT outbox FROM outbox_relay.pauses WHERE slot_name = $1 AND outbox <> ''),
                 (SELECT why FROM outbox_relay.pauses WHERE slot_name = $1 AND outbox = ''),
                 ARRAY(SELECT idempotency_key FROM outbox_relay.skips WHERE slot_name = $1)",
                may_go()
            ),
            &[&settings.postgres.slot],
        )
        .await?;
    let paused: Vec<&str> = row.try_get(1)?;
    let index = |outbox: &&str| settings.outbox.keys().position(|name| name == outbox);
    let paused = paused.iter().filter_map(index);
    let skips: Vec<String> = row.try_get(3)?;
    let controls = Controls {
        is_redrive_asked: row.try_get(0)?,
        paused_outboxes: paused.filter_map(|index| u16::try_from(index).ok()).collect(),
        paused: row.try_get(2)?,
        skips: skips.into_iter().map(String::into_bytes).collect(),
    };
    Ok(controls)
}

/// What the metrics show.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// Letters that are not resolved, by state.
    pub(crate) by_state: BTreeMap<String, usize>,
    /// When the oldest of them was set aside.
    pub(crate) oldest: Option<Timestamp>,
}

impl Figures {
    pub(crate) fn unresolved(&self) -> usize {
        self.by_state.values().sum()
    }
}

/// Counts the letters that are not resolved.
///
/// # Errors
/// The statement failed.
pub(crate) async fn read_figures(client: &Client, slot: &str) -> Result<Figures, PostgresError> {
    let rows = client
        .query(
            "SELECT state, count(*), (extract(epoch FROM min(set_aside_at)) * 1000000)::int8
             FROM outbox_relay.dead_letters
             WHERE slot_name = $1 AND state IN ('failed', 'parked', 'redriving') GROUP BY state",
            &[&slot],
        )
        .await?;
    let mut figures = Figures::default();
    for row in &rows {
        let (state, count, oldest): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        figures
            .by_state
            .insert(state, usize::try_from(count).unwrap_or(usize::MAX));
        let oldest = Timestamp::from_unix_us(oldest);
        figures.oldest = Some(figures.oldest.map_or(oldest, |known| known.min(oldest)));
    }
    Ok(figures)
}

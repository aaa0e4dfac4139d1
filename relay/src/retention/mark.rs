//! Marks: a horizon of transactions, and the LSN that proves them published once it is confirmed.

use std::time::Duration;

use outbox_decoder::Lsn;

use super::RetentionError;
use super::session::JanitorSession;
use crate::postgres::PostgresError;

/// So many marks fit into the time for which rows are kept: a row stays by that much longer at the most.
const MARKS: u32 = 48;
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(12);
const DAY: Duration = Duration::from_hours(24);

/// A mark that the slot has confirmed, and that is as old as rows have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(super) lsn: Lsn,
    /// The first transaction that is not before it.
    pub(super) horizon: i64,
    /// For messages.
    pub(super) taken_at: String,
}

impl Mark {
    /// Takes a mark, if it is time for one.
    pub(super) async fn take(session: &JanitorSession, slot: &str, keep_days: u32) -> Result<(), RetentionError> {
        let there = "SELECT FROM outbox_relay.retention_slot($1)";
        if session.client().query_opt(there, &[&slot]).await?.is_none() {
            return Err(RetentionError::NoSlot(slot.to_owned()));
        }
        let spacing_s = spacing(keep_days).as_secs_f64();
        let take = "SELECT outbox_relay.retention_mark($1, make_interval(days => $2), make_interval(secs => $3))";
        session
            .client()
            .execute(take, &[&slot, &days(keep_days), &spacing_s])
            .await?;
        Ok(())
    }

    /// The newest mark that counts; `None` while there is none.
    pub(super) async fn usable(
        session: &JanitorSession,
        slot: &str,
        keep_days: u32,
    ) -> Result<Option<Self>, RetentionError> {
        let newest = "SELECT m.lsn::text, m.horizon::text::bigint, to_char(m.taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SSZ')
             FROM outbox_relay.retention_marks m, outbox_relay.retention_slot($1) s
             WHERE m.slot_name = $1 AND m.lsn <= s.confirmed_flush_lsn
                 AND m.taken_at <= clock_timestamp() - make_interval(days => $2)
             ORDER BY m.lsn DESC LIMIT 1";
        let row = session.client().query_opt(newest, &[&slot, &days(keep_days)]).await?;
        row.map(|row| {
            Ok(Self {
                lsn: lsn(row.try_get(0)?)?,
                horizon: row.try_get(1)?,
                taken_at: row.try_get(2)?,
            })
        })
        .transpose()
    }

    /// Where the newest mark of all is, and whether somebody streams from the slot, who could confirm it.
    pub(super) async fn newest(session: &JanitorSession, slot: &str) -> Result<Option<(Lsn, bool)>, RetentionError> {
        let newest = "SELECT max(m.lsn)::text, bool_or(s.active) FROM outbox_relay.retention_marks m, outbox_relay.retention_slot($1) s
             WHERE m.slot_name = $1";
        let row = session.client().query_one(newest, &[&slot]).await?;
        let (newest, active): (Option<&str>, Option<bool>) = (row.try_get(0)?, row.try_get(1)?);
        newest
            .map(|newest| Ok((lsn(newest)?, active.unwrap_or(false))))
            .transpose()
    }
}

/// How far marks are apart.
fn spacing(keep_days: u32) -> Duration {
    if keep_days == 0 {
        return Duration::ZERO;
    }
    (DAY * keep_days / MARKS).clamp(SHORTEST, LONGEST)
}

/// As SQL takes them; the configuration has a bound far below.
fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

pub(super) fn lsn(text: &str) -> Result<Lsn, PostgresError> {
    text.parse().map_err(|_| PostgresError::Unexpected {
        got: text.to_owned(),
        wanted: "an LSN",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_many_marks_and_rows_stay_a_little_longer_at_the_most() {
        assert_eq!(spacing(0), Duration::ZERO);
        assert_eq!(spacing(1), DAY / 48);
        assert_eq!(spacing(7), DAY * 7 / 48);
        assert_eq!(spacing(36_500), LONGEST);
    }
}

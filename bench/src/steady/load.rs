//! The offered load: what is to be written, and when. Nothing that happens meanwhile moves an intended time.

use std::time::Duration;

use serde::Serialize;

/// A connection is busy for about this long with a commit that waits for the disk.
const COMMIT_S: f64 = 0.004;
const CONNECTIONS_MIN: u32 = 8;
const CONNECTIONS_MAX: u32 = 64;

/// An open-loop load: transactions at equal distances, however long each of them takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Load {
    /// Rows a second, over all connections.
    pub(crate) rate_events_per_s: u32,
    pub(crate) rows_per_transaction: u32,
    /// Of one row, on the replication connection.
    pub(crate) row_bytes: u32,
    pub(crate) connections: u32,
    pub(crate) synchronous_commit: bool,
    /// The load is on for so long before anything counts.
    pub(crate) warm_up_s: u32,
    /// The window that counts.
    pub(crate) window_s: u32,
}

impl Load {
    /// One row a transaction, as applications commit, and each commit waits for the disk.
    pub(crate) fn of_single_rows(rate_events_per_s: u32, row_bytes: u32, warm_up_s: u32, window_s: u32) -> Load {
        Load {
            rate_events_per_s,
            rows_per_transaction: 1,
            row_bytes,
            connections: connections_for(rate_events_per_s, 1),
            synchronous_commit: true,
            warm_up_s,
            window_s,
        }
    }

    /// Transactions to write, those of the warm-up included.
    pub(super) fn transactions(&self) -> u32 {
        let rows = u64::from(self.rate_events_per_s) * u64::from(self.warm_up_s + self.window_s);
        u32::try_from(rows.div_ceil(u64::from(self.rows_per_transaction))).unwrap_or(u32::MAX)
    }

    /// When a transaction, counted from 0, is meant to be sent.
    pub(super) fn intended(&self, transaction: u32) -> Duration {
        let rows = f64::from(transaction) * f64::from(self.rows_per_transaction);
        Duration::from_secs_f64(rows / f64::from(self.rate_events_per_s))
    }

    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up_s.into())
    }

    pub(super) fn window(&self) -> Duration {
        Duration::from_secs(self.window_s.into())
    }

    /// Whether a transaction is meant for the window that counts.
    pub(super) fn counts(&self, transaction: u32) -> bool {
        self.intended(transaction) >= self.warm_up()
    }

    /// The first and the last row of a transaction; rows are counted from 1.
    pub(super) fn rows_of(&self, transaction: u32) -> (u32, u32) {
        let before = transaction * self.rows_per_transaction;
        (before + 1, before + self.rows_per_transaction)
    }

    /// The transaction that wrote a row.
    pub(super) fn transaction_of(&self, row: u32) -> Option<u32> {
        Some(row.checked_sub(1)? / self.rows_per_transaction)
    }
}

/// As many as have work to do when each commit waits for the disk.
pub(super) fn connections_for(rate_events_per_s: u32, rows_per_transaction: u32) -> u32 {
    let transactions_per_s = f64::from(rate_events_per_s) / f64::from(rows_per_transaction);
    (CONNECTIONS_MIN..CONNECTIONS_MAX)
        .find(|connections| f64::from(*connections) >= transactions_per_s * COMMIT_S)
        .unwrap_or(CONNECTIONS_MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One second of warm-up and two that count.
    pub(in crate::steady) const LOAD: Load = Load {
        rate_events_per_s: 1000,
        rows_per_transaction: 10,
        row_bytes: 600,
        connections: 4,
        synchronous_commit: true,
        warm_up_s: 1,
        window_s: 2,
    };

    #[test]
    fn transactions_have_equal_distances() {
        assert_eq!(LOAD.transactions(), 300);
        assert_eq!(LOAD.intended(0), Duration::ZERO);
        assert_eq!(LOAD.intended(250), Duration::from_millis(2500));
    }

    #[test]
    fn what_is_meant_for_the_warm_up_does_not_count() {
        assert!(!LOAD.counts(99));
        assert!(LOAD.counts(100));
    }

    #[test]
    fn a_row_leads_back_to_its_transaction() {
        assert_eq!(LOAD.rows_of(3), (31, 40));
        assert_eq!(
            [31, 40, 41].map(|row| LOAD.transaction_of(row)),
            [Some(3), Some(3), Some(4)]
        );
        assert_eq!(LOAD.transaction_of(0), None);
    }

    #[test]
    fn a_higher_rate_has_more_connections_up_to_a_limit() {
        assert_eq!([500, 4000, 1_000_000].map(|rate| connections_for(rate, 1)), [8, 16, 64]);
        assert_eq!(connections_for(40_000, 10), 16);
    }
}

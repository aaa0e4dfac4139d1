//! What is drained: one combination of rows and servers.

use clap::ValueEnum;
use serde::Serialize;

use crate::backlog::PayloadType;
use crate::door::Door;

/// A backlog's rows have at most so many bytes together: it is in WAL, table and topic, several times over.
pub(super) const VOLUME_BYTES_MAX: u64 = 1 << 30;

/// How many brokers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
pub(super) enum Brokers {
    #[value(name = "1")]
    #[serde(rename = "1")]
    One,
    #[value(name = "3")]
    #[serde(rename = "3")]
    Three,
}

impl Brokers {
    pub(super) const fn number(self) -> usize {
        match self {
            Brokers::One => 1,
            Brokers::Three => 3,
        }
    }
}

/// One case. Cases in order need each kind of servers once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Case {
    pub(super) brokers: Brokers,
    /// On the wire, about.
    pub(super) row_bytes: u32,
    pub(super) rows_per_transaction: u32,
    pub(super) payload: PayloadType,
    pub(super) door: Door,
}

impl Case {
    /// For names of numbers and topics.
    pub(super) fn name(self) -> String {
        let Case {
            brokers,
            row_bytes,
            rows_per_transaction,
            payload,
            door,
        } = self;
        let brokers = match brokers {
            Brokers::One => "",
            Brokers::Three => "_3brokers",
        };
        format!("{row_bytes}b_{rows_per_transaction}tx_{payload}_{door}{brokers}")
    }

    /// For people.
    pub(super) fn title(self) -> String {
        let brokers = match self.brokers {
            Brokers::One => "1 broker",
            Brokers::Three => "3 brokers",
        };
        format!(
            "{} bytes a row, {} rows a transaction, {}, {}, {brokers}",
            self.row_bytes, self.rows_per_transaction, self.payload, self.door
        )
    }

    /// How many rows its backlog has where `rows` were asked for: whole transactions, as far as the volume allows. `Err`
    /// says why it cannot be measured.
    pub(super) fn rows(self, rows: u32) -> Result<u32, &'static str> {
        if self.door == Door::Tls && self.brokers == Brokers::Three {
            return Err("the three brokers have no encrypted door");
        }
        let fitting = VOLUME_BYTES_MAX / u64::from(self.row_bytes.max(1));
        let fitting = u32::try_from(fitting).unwrap_or(u32::MAX);
        if self.rows_per_transaction > fitting {
            return Err("one transaction of it would be larger than 1 GiB");
        }
        let rows = rows.max(self.rows_per_transaction);
        if rows <= fitting {
            return Ok(rows);
        }
        Ok(fitting - fitting % self.rows_per_transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        brokers: Brokers::One,
        row_bytes: 600,
        rows_per_transaction: 100,
        payload: PayloadType::Json,
        door: Door::Tcp,
    };

    #[test]
    fn a_name_tells_the_case() {
        assert_eq!(CASE.name(), "600b_100tx_json_tcp");
        let case = Case {
            brokers: Brokers::Three,
            door: Door::Unix,
            payload: PayloadType::Bytea,
            ..CASE
        };
        assert_eq!(case.name(), "600b_100tx_bytea_unix_3brokers");
    }

    #[test]
    fn a_backlog_of_ordinary_rows_has_as_many_as_were_asked_for() {
        assert_eq!(CASE.rows(500_000), Ok(500_000));
    }

    #[test]
    fn large_rows_are_fewer_and_their_transactions_whole() {
        let rows = Case {
            row_bytes: 10_240,
            ..CASE
        }
        .rows(500_000);
        assert_eq!(rows, Ok(104_800));
    }

    #[test]
    fn a_transaction_is_never_cut() {
        let million = Case {
            rows_per_transaction: 1_000_000,
            ..CASE
        };
        assert_eq!(million.rows(500_000), Ok(1_000_000));
        let row_bytes = 10_240;
        assert!(Case { row_bytes, ..million }.rows(500_000).is_err());
    }

    #[test]
    fn three_brokers_cannot_be_reached_over_tls() {
        let case = Case {
            brokers: Brokers::Three,
            door: Door::Tls,
            ..CASE
        };
        assert!(case.rows(1).is_err());
    }
}

//! The ledger at work: a full budget of records is entered, and their acknowledgements come partition by partition.

use std::hint::black_box;

use outbox_decoder::{CommitPosition, Lsn, Position, Timestamp};
use outbox_relay::pipeline::{Kept, Ledger, Ticket};

use super::cases::LIMITS;
use super::rows::ROWS_PER_TRANSACTION;

const PARTITIONS: u32 = 12;
/// Records of one partition that a broker acknowledges together.
const BATCH: u32 = 100;
const BATCHES: u32 = 12;
/// Records under way at once: nearly what the relay's default budget holds of rows with 600 bytes.
pub(super) const RECORDS: u32 = PARTITIONS * BATCH * BATCHES;

/// What a record of a row with 600 bytes costs of the budget.
const RECORD_BYTES: usize = 1_050;
const COMMITTED_AT: Timestamp = Timestamp::from_postgres_us(0);
const KEPT: Kept = Kept {
    timestamp_ms: 0,
    outbox: 0,
};

/// A ledger and the order in which its records are acknowledged.
#[derive(Debug)]
pub(super) struct Flow {
    ledger: Ledger,
    order: Vec<u32>,
    newest_lsn: u64,
}

impl Flow {
    pub(super) fn new() -> Flow {
        Flow {
            ledger: Ledger::new(LIMITS),
            order: order(),
            newest_lsn: 0,
        }
    }

    pub(super) fn pass(&mut self) {
        let first = self.ledger.next_ticket().as_u64();
        for _ in 0..RECORDS / ROWS_PER_TRANSACTION {
            self.enter_transaction();
        }
        for &record in &self.order {
            black_box(self.ledger.acknowledge(Ticket::from_u64(first + u64::from(record))));
            black_box(self.ledger.acknowledged_end());
        }
    }

    fn enter_transaction(&mut self) {
        self.newest_lsn += 1_000;
        let commit_lsn = Lsn::new(self.newest_lsn);
        for ordinal in 0..ROWS_PER_TRANSACTION {
            let position = Position {
                commit_lsn,
                ordinal,
                xid: 1,
            };
            assert!(!self.ledger.has_taken(position) && self.ledger.has_room(RECORD_BYTES));
            black_box(self.ledger.take(position, COMMITTED_AT, KEPT, RECORD_BYTES));
        }
        let ends = CommitPosition::new(commit_lsn, Lsn::new(self.newest_lsn + 1));
        black_box(self.ledger.commit(ends.expect("it ends after its start")));
    }
}

/// Keys spread records over all partitions; partitions answer in turn, each for one batch of its own.
fn order() -> Vec<u32> {
    let mut order = Vec::new();
    for batch in 0..BATCHES {
        for partition in 0..PARTITIONS {
            let of_partition = batch * BATCH..(batch + 1) * BATCH;
            order.extend(of_partition.map(|nth| nth * PARTITIONS + partition));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_acknowledged_once_and_not_in_order() {
        let order = order();
        assert!(!order.is_sorted());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..RECORDS).collect::<Vec<_>>());
    }

    #[test]
    fn a_pass_leaves_nothing_in_flight_and_everything_confirmed() {
        let mut flow = Flow::new();
        flow.pass();
        flow.pass();
        assert!(flow.ledger.is_idle());
        assert_eq!(flow.ledger.acknowledged_end(), Lsn::new(flow.newest_lsn + 1));
    }
}

//! A broker that is done with compiling its own code: it has taken records until that is so.
//!
//! Whoever measures a backlog drains it a few times first. Whoever does not drains one here, of the same rows.

use crate::backlog::{self, Keys, ROWS_PER_TRANSACTION};
use crate::drain::{self, Backlog, Client};
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::progress;

/// After so many a broker takes no less CPU time for the next ones.
pub(crate) const RECORDS: u32 = 2_000_000;

const SLOT: &str = "warm_up";
/// As many as `smoke` fills in: a larger backlog takes longer to write than to drain once more.
const ROWS_MAX: u32 = 500_000;

/// A backlog, and how often it is drained.
#[derive(Debug, PartialEq, Eq)]
struct Drains {
    rows: u32,
    times: u32,
}

impl Drains {
    /// At least so many records, with as few rows as that takes.
    fn of(records: u32) -> Drains {
        let times = records.div_ceil(ROWS_MAX);
        Drains {
            rows: records.div_ceil(times.max(1)),
            times,
        }
    }
}

/// Drains so many records and takes their rows away again.
pub(crate) fn drain(installation: &Installation, records: u32, interrupt: &Interrupt) -> Result<(), Failure> {
    let Drains { rows, times } = Drains::of(records);
    if times == 0 {
        return Ok(());
    }
    let database = &installation.database;
    database.create_slot(SLOT)?;
    backlog::fill(database, rows, ROWS_PER_TRANSACTION, Keys::Distinct)?;
    let backlog = Backlog::up_to_now(SLOT, rows, database)?;
    for nth in 1..=times {
        progress::step(&format!("warming up the broker with drains: {nth} of {times}"));
        let relay = Client::Carrier(&installation.relay, &installation.topic);
        drain::drain(installation, &backlog, relay, interrupt)?;
    }
    database.drop_slot(SLOT)?;
    backlog::take_away(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_come_to_as_many_records_as_were_asked_for_and_hardly_more() {
        for records in [1, 499_999, 500_000, 500_001, RECORDS, 7_654_321] {
            let Drains { rows, times } = Drains::of(records);
            assert!(rows <= ROWS_MAX, "{records}: {rows} rows");
            assert!(
                (records..records + times).contains(&(rows * times)),
                "{records}: {rows} × {times}"
            );
        }
        assert_eq!(
            Drains::of(RECORDS),
            Drains {
                rows: 500_000,
                times: 4
            }
        );
    }

    #[test]
    fn no_records_are_no_drains() {
        assert_eq!(Drains::of(0).times, 0);
    }
}

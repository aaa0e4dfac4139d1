//! Rows of which some can never be published, if the relay is so configured: without that they are rows like others.

use crate::backlog::{Keys, Payload};
use crate::database::Database;
use crate::failure::Failure;
use crate::progress::Progress;

/// One more row that has a defect for so many that have none.
pub(super) const ROWS_PER_DEFECT: u32 = 1_000;

const ROWS_PER_TRANSACTION: u32 = 100;
const ROWS_PER_STATEMENT: u32 = 10_000;

/// No topic can have a name with this in it, and no topic with a bound on times takes a record of that day.
const DEFECT: &str = "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at)
     VALUES ('no topic?', 'defect-' || low, 'order_placed', '{}', '2000-01-01');";

/// How many rows with a defect a backlog has.
pub(super) const fn defects(rows: u32) -> u32 {
    rows / ROWS_PER_DEFECT
}

/// Fills in so many rows, and those with a defect among them, each at the end of a transaction.
pub(super) fn fill(database: &Database, rows: u32) -> Result<(), Failure> {
    Payload::USUAL.prepare(database)?;
    let insert = Payload::USUAL.rows(Keys::Distinct, "low", "least(low + step - 1, high)");
    let progress = Progress::new("filling in rows", rows);
    let mut done = 0;
    while done < rows {
        let until = rows.min(done + ROWS_PER_STATEMENT);
        let statement = format!(
            "DO $$ DECLARE step CONSTANT int := {ROWS_PER_TRANSACTION}; high CONSTANT int := {until};
             BEGIN
                 FOR low IN {first} .. high BY step LOOP
                     {insert}
                     IF (low + step - 1) % {ROWS_PER_DEFECT} = 0 THEN {DEFECT} END IF;
                     COMMIT;
                 END LOOP;
             END $$",
            first = done + 1
        );
        database.execute("take the rows", &statement)?;
        done = until;
        progress.set(done);
    }
    Ok(())
}

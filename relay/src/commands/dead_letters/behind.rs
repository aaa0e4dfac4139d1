//! What waits behind letters, and what they would overtake: keys are taken whole, in order.

use super::{Failure, Operation, Refusal};
use crate::dead_letter::NOTHING_PAUSED_BEFORE;

/// The chosen letters ($2) of a slot ($1), their keys, and the first failed letter of each of these keys that is not chosen.
/// As `outbox_relay.letters_release` and `letters_redrive` have it, for all batches at once.
const CHOSEN: &str = "WITH chosen AS MATERIALIZED (
        SELECT letter_id, topic, key, commit_lsn, ordinal FROM outbox_relay.dead_letters
        WHERE slot_name = $1 AND letter_id = ANY ($2)
    ), keys AS MATERIALIZED (
        SELECT DISTINCT topic, key FROM chosen WHERE topic IS NOT NULL AND key IS NOT NULL
    ), earlier AS MATERIALIZED (
        SELECT DISTINCT ON (f.topic, f.key) f.topic, f.key, f.commit_lsn, f.ordinal, f.letter_id
        FROM outbox_relay.dead_letters f JOIN keys ON keys.topic = f.topic AND keys.key = f.key
        WHERE f.slot_name = $1 AND f.state = 'failed' AND f.parks_key
            AND NOT EXISTS (SELECT FROM chosen c WHERE c.letter_id = f.letter_id)
        ORDER BY f.topic, f.key, f.commit_lsn, f.ordinal
    )";

/// Parked letters of the chosen ones' keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// Those that would wait for nothing any more.
    pub(super) free: i64,
    /// Those that would: for a failed letter that is not chosen, or for their outbox, or that of one before them, to be resumed.
    pub(super) waiting: i64,
}

impl Behind {
    pub(super) async fn of(operation: &Operation<'_>, letters: &[i64]) -> Result<Self, Failure> {
        let statement = format!(
            "{CHOSEN}
             SELECT count(*) FILTER (WHERE is_free), count(*) FILTER (WHERE NOT is_free) FROM (
                 SELECT (e.letter_id IS NULL OR (d.commit_lsn, d.ordinal) < (e.commit_lsn, e.ordinal)) AND NOT EXISTS (
                     SELECT FROM outbox_relay.pauses p WHERE p.slot_name = $1 AND p.outbox = d.outbox)
                     AND {NOTHING_PAUSED_BEFORE} AS is_free
                 FROM outbox_relay.dead_letters d JOIN keys ON keys.topic = d.topic AND keys.key = d.key
                     LEFT JOIN earlier e ON e.topic = d.topic AND e.key = d.key
                 WHERE d.slot_name = $1 AND d.state = 'parked'
                     AND NOT EXISTS (SELECT FROM chosen c WHERE c.letter_id = d.letter_id)
             ) AS behind"
        );
        let row = operation.row(&statement, &[operation.slot(), &letters]).await?;
        let (free, waiting) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        Ok(Self { free, waiting })
    }
}

/// A letter is not published before an earlier one of its key.
pub(super) async fn refuse_to_overtake(operation: &Operation<'_>, letters: &[i64]) -> Result<(), Failure> {
    let statement = format!(
        "{CHOSEN}
         SELECT count(*), min(format('%s waits behind %s', c.letter_id, e.letter_id))
         FROM chosen c JOIN earlier e ON e.topic = c.topic AND e.key = c.key
         WHERE (e.commit_lsn, e.ordinal) < (c.commit_lsn, c.ordinal)"
    );
    let row = operation.row(&statement, &[operation.slot(), &letters]).await?;
    let (count, first): (i64, Option<String>) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    let Some(first) = first else { return Ok(()) };
    let more = match count {
        1 => String::new(),
        count => format!(" (and {} more wait likewise)", count - 1),
    };
    Err(Failure::new(
        Refusal::EarlierDeadLetter,
        format!("dead letter {first}, an earlier one of its key{more}"),
        "name the earlier one too, or discard it",
    ))
}

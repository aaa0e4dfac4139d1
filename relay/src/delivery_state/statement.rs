//! Many notes in one statement.

use std::collections::HashMap;

use super::DeliveryStatus;
use super::queue::Entry;

/// Arrays of columns, one element a note. What failed once and is published afterwards keeps what it failed with.
pub(super) const UPSERT: &str = "
    INSERT INTO outbox_relay.delivery_state AS row
        (slot_name, outbox, idempotency_key, status, published_at, retry_count, last_error_code, updated_at)
    SELECT $1, note.outbox, note.id, note.status,
        CASE WHEN note.status = 'published' THEN to_timestamp(note.at_us / 1000000.0) END,
        note.retry_count, note.error_code, clock_timestamp()
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::text[])
        AS note (outbox, id, status, at_us, retry_count, error_code)
    ON CONFLICT (slot_name, outbox, idempotency_key) DO UPDATE SET
        status = excluded.status,
        published_at = coalesce(excluded.published_at, row.published_at),
        retry_count = greatest(excluded.retry_count, row.retry_count),
        last_error_code = coalesce(excluded.last_error_code, row.last_error_code),
        updated_at = excluded.updated_at";

/// The columns of [`UPSERT`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns<'e> {
    pub(super) outboxes: Vec<&'e str>,
    pub(super) ids: Vec<&'e str>,
    pub(super) statuses: Vec<&'static str>,
    pub(super) at_us: Vec<i64>,
    pub(super) retry_counts: Vec<i32>,
    pub(super) error_codes: Vec<Option<&'static str>>,
}

impl<'e> Columns<'e> {
    /// Of notes in their order; a statement takes one for each event. `outboxes` are the names by the decoder's number.
    pub(super) fn of(entries: &'e [Entry], outboxes: &'e [String]) -> Self {
        let mut columns = Self::default();
        let mut places = HashMap::with_capacity(entries.len());
        for entry in entries {
            let Some(outbox) = outboxes.get(usize::from(entry.outbox)) else {
                continue;
            };
            let retry_count = i32::try_from(entry.retry_count).unwrap_or(i32::MAX);
            let place = *places.entry((entry.outbox, entry.id.as_str())).or_insert_with(|| {
                columns.push(outbox, &entry.id);
                columns.ids.len() - 1
            });
            // Published is the end of it, whatever comes later of an attempt before.
            if columns.statuses[place] != DeliveryStatus::Published.name() {
                columns.statuses[place] = entry.status.name();
                columns.at_us[place] = entry.at.as_unix_us();
            }
            columns.retry_counts[place] = columns.retry_counts[place].max(retry_count);
            columns.error_codes[place] = entry.error_code.or(columns.error_codes[place]);
        }
        columns
    }

    fn push(&mut self, outbox: &'e str, id: &'e str) {
        self.outboxes.push(outbox);
        self.ids.push(id);
        self.statuses.push("");
        self.at_us.push(0);
        self.retry_counts.push(0);
        self.error_codes.push(None);
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::{Lsn, Timestamp};

    use super::*;

    fn entry(id: &str, status: DeliveryStatus, retry_count: u32, error_code: Option<&'static str>) -> Entry {
        Entry {
            outbox: 0,
            id: id.to_owned(),
            commit_lsn: Lsn::ZERO,
            status,
            at: Timestamp::from_unix_us(i64::from(retry_count)),
            retry_count,
            error_code,
        }
    }

    #[test]
    fn an_event_stands_in_a_statement_once_with_what_became_of_it_last() {
        let entries = [
            entry("a", DeliveryStatus::Failed, 1, Some("topic_missing")),
            entry("b", DeliveryStatus::Published, 0, None),
            entry("a", DeliveryStatus::Failed, 2, None),
            entry("a", DeliveryStatus::Published, 3, None),
            entry("a", DeliveryStatus::Failed, 2, None),
        ];
        let outboxes = ["default".to_owned()];
        let columns = Columns::of(&entries, &outboxes);
        assert_eq!(columns.ids, ["a", "b"]);
        assert_eq!(columns.statuses, ["published", "published"]);
        assert_eq!((columns.at_us, columns.retry_counts), (vec![3, 0], vec![3, 0]));
        assert_eq!(columns.error_codes, [Some("topic_missing"), None]);
        assert_eq!(columns.outboxes, ["default"; 2]);
    }
}

//! Many notes in one statement.

use std::collections::HashMap;

use super::queue::{Entry, Status};

/// Arrays of columns, one element a note. What failed once and is published afterwards keeps what it failed with; a note of a
/// failure that comes late says nothing of what became of the event since.
pub(super) const UPSERT: &str = "
    INSERT INTO outbox_relay.delivery_state AS row
        (slot_name, outbox, idempotency_key, status, published_at, retry_count, last_error_code, updated_at)
    SELECT $1, note.outbox, note.id, note.status,
        CASE WHEN note.status = 'published' THEN to_timestamp(note.at_us / 1000000.0) END,
        note.retry_count, note.error_code, clock_timestamp()
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::int[], $7::text[])
        AS note (outbox, id, status, at_us, retry_count, error_code)
    ON CONFLICT (slot_name, outbox, key_hash) DO UPDATE SET
        status = CASE WHEN excluded.status = 'failed' THEN row.status ELSE excluded.status END,
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
            let place = *places.entry((entry.outbox, entry.id.as_str())).or_insert_with(|| {
                columns.push(outbox, &entry.id);
                columns.ids.len() - 1
            });
            columns.set(place, entry);
        }
        columns
    }

    fn push(&mut self, outbox: &'e str, id: &'e str) {
        self.outboxes.push(outbox);
        self.ids.push(id);
        self.statuses.push("failed");
        self.at_us.push(0);
        self.retry_counts.push(0);
        self.error_codes.push(None);
    }

    fn set(&mut self, place: usize, entry: &Entry) {
        let failures = i32::try_from(entry.failures).unwrap_or(i32::MAX);
        self.retry_counts[place] = self.retry_counts[place].max(failures);
        match entry.status {
            Status::Published => {
                self.statuses[place] = "published";
                self.at_us[place] = entry.at.as_unix_us();
            }
            Status::Failed(code) => self.error_codes[place] = Some(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::Timestamp;

    use super::*;
    use crate::delivery_state::ids::EventIds;
    use crate::pipeline::Ticket;

    fn entry(id: &str, status: Status, failures: u32) -> Entry {
        let mut ids = EventIds::default();
        ids.put(Ticket::from_u64(0), 0, id.as_bytes());
        let event = ids.get_mut(Ticket::from_u64(0)).expect("an event");
        event.failures = failures;
        Entry::of(event, status, Timestamp::from_unix_us(i64::from(failures) + 7))
    }

    #[test]
    fn an_event_stands_in_a_statement_once_with_what_became_of_it_last() {
        let entries = [
            entry("a", Status::Failed("topic_missing"), 1),
            entry("b", Status::Published, 0),
            entry("a", Status::Failed("topic_not_authorized"), 2),
            entry("a", Status::Published, 2),
            entry("c", Status::Failed("topic_missing"), 1),
        ];
        let outboxes = ["default".to_owned()];
        let columns = Columns::of(&entries, &outboxes);
        assert_eq!(columns.ids, ["a", "b", "c"]);
        assert_eq!(columns.statuses, ["published", "published", "failed"]);
        assert_eq!((columns.at_us, columns.retry_counts), (vec![9, 7, 0], vec![2, 0, 1]));
        let codes = [Some("topic_not_authorized"), None, Some("topic_missing")];
        assert_eq!(columns.error_codes, codes);
        assert_eq!(columns.outboxes, ["default"; 3]);
    }
}

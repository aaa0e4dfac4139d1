//! Deeds that are done to events: in their tables, on their way, set aside.

use super::deeds::{Deed, deed};

pub(super) const OUTBOX: [Deed; 6] = [
    deed(
        "write an event",
        "a",
        &["INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload) VALUES ('a', '1', 'e', '{}')"],
    ),
    deed(
        "see what was written, also with `RETURNING`, while writing",
        "",
        &[
            "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload) VALUES ('a', '1', 'e', '{}')
             RETURNING id",
        ],
    ),
    deed("read events", "o", &["SELECT FROM public.outbox"]),
    deed(
        "change or delete events",
        "",
        &[
            "UPDATE public.outbox SET event_type = 'other'",
            "DELETE FROM public.outbox",
            "TRUNCATE public.outbox",
        ],
    ),
    deed(
        "lock, change or drop the table",
        "",
        &[
            "LOCK TABLE public.outbox IN SHARE MODE",
            "ALTER TABLE public.outbox ADD note text",
            "DROP TABLE public.outbox",
        ],
    ),
    deed(
        "change the publication",
        "",
        &[
            "ALTER PUBLICATION {name} DROP TABLE public.outbox",
            "SELECT outbox_relay.ensure_publication('p', 'public', 'outbox')",
            "CREATE PUBLICATION mine",
        ],
    ),
];

pub(super) const ADVISORY: [Deed; 4] = [
    deed(
        "see what the last relay knew",
        "rou",
        &["SELECT FROM outbox_relay.advisory"],
    ),
    deed(
        "note it, forget it",
        "r",
        &[
            "INSERT INTO outbox_relay.advisory VALUES ('s', '1', 1, '0/1', true, now())",
            "UPDATE outbox_relay.advisory SET clean_stop = false",
            "DELETE FROM outbox_relay.advisory",
        ],
    ),
    deed(
        "empty or change the tables",
        "",
        &[
            "SELECT FROM outbox_relay.recoveries",
            "TRUNCATE outbox_relay.advisory",
            "ALTER TABLE outbox_relay.advisory ADD note text",
        ],
    ),
    deed(
        "note a recovery",
        "r",
        &[
            "SELECT outbox_relay.recovery_begin('s', now(), '', 'what', 'why', '{}')",
            "SELECT outbox_relay.recovery_end('s', true, 'what', 'why', '{}')",
            "SELECT outbox_relay.recovery_unfinished('s')",
            "SELECT outbox_relay.recovery_left_out('s')",
        ],
    ),
];

pub(super) const LETTERS: [Deed; 7] = [
    deed(
        "see what was set aside, and why",
        "rou",
        &[
            "SELECT FROM outbox_relay.dead_letters",
            "SELECT topic, key, error_message FROM outbox_relay.dead_letters",
        ],
    ),
    deed(
        "see payload and headers",
        "ro",
        &[
            "SELECT payload FROM outbox_relay.dead_letters",
            "SELECT headers FROM outbox_relay.dead_letters",
        ],
    ),
    deed(
        "set a row aside, note what became of it",
        "r",
        &[
            "INSERT INTO outbox_relay.dead_letters (slot_name) SELECT 's' WHERE false",
            "UPDATE outbox_relay.dead_letters SET state = 'failed'",
            "UPDATE outbox_relay.dead_letters SET notice_due = false",
            "SELECT outbox_relay.letters_lock('s'), outbox_relay.letters_named('{}')",
            "SELECT outbox_relay.letters_set_free('s', '{}')",
        ],
    ),
    deed(
        "redrive",
        "o",
        &["SELECT outbox_relay.letters_redrive('s', '{}', 'w', '{}')"],
    ),
    deed(
        "discard",
        "o",
        &["SELECT outbox_relay.letters_discard('s', '{}', 'w', '{}')"],
    ),
    deed(
        "change payload or key",
        "",
        &[
            "UPDATE outbox_relay.dead_letters SET payload = NULL",
            "UPDATE outbox_relay.dead_letters SET key = NULL",
        ],
    ),
    deed(
        "delete letters, call what the functions rest on",
        "",
        &[
            "DELETE FROM outbox_relay.dead_letters",
            "TRUNCATE outbox_relay.dead_letters",
            "SELECT outbox_relay.letters_must_be('s', '{}', '{}', 'w')",
        ],
    ),
];

pub(super) const CONTROLS: [Deed; 5] = [
    deed(
        "see them",
        "rou",
        &["SELECT FROM outbox_relay.skips", "SELECT FROM outbox_relay.pauses"],
    ),
    deed(
        "skip an event, take that back",
        "o",
        &["SELECT outbox_relay.skip('s', 'e', 'w', '{}'); SELECT outbox_relay.skip_withdraw('s', 'e', 'w', '{}')"],
    ),
    deed(
        "pause, resume",
        "o",
        &["SELECT outbox_relay.pause('s', 'o', 'w', '{}'); SELECT outbox_relay.resume('s', 'o', 'w', '{}')"],
    ),
    deed(
        "note that a skip was carried out",
        "r",
        &["DELETE FROM outbox_relay.skips"],
    ),
    deed(
        "change them without a reason",
        "",
        &[
            "INSERT INTO outbox_relay.skips VALUES ('s', 'e', now(), 'w')",
            "INSERT INTO outbox_relay.pauses VALUES ('s', 'o', now(), 'w')",
            "DELETE FROM outbox_relay.pauses",
        ],
    ),
];

pub(super) const DELIVERIES: [Deed; 4] = [
    deed("see what became of each event", "o", &["SELECT FROM outbox_relay.delivery_default"]),
    deed("read the states", "ro", &["SELECT FROM outbox_relay.delivery_state"]),
    deed(
        "note what became of an event",
        "r",
        &[
            "INSERT INTO outbox_relay.delivery_state (slot_name, outbox, idempotency_key, status, retry_count, updated_at)
             VALUES ('s', 'o', 'i', 'published', 0, now())",
            "UPDATE outbox_relay.delivery_state SET status = 'published'",
            "SELECT outbox_relay.recovery_delivered('s', 'o', '{}', NULL)",
        ],
    ),
    deed(
        "remove states, or say which outboxes keep them",
        "",
        &[
            "DELETE FROM outbox_relay.delivery_state",
            "TRUNCATE outbox_relay.delivery_state",
            "INSERT INTO outbox_relay.delivery_outboxes VALUES ('s', 'o', 'v', 's', 't', 'i')",
            "SELECT outbox_relay.leave_delivery_state('s', 'o')",
        ],
    ),
];

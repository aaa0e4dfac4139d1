//! What somebody may want to do, as statements, and whose work it is.

use super::events::{ADVISORY, CONTROLS, DELIVERIES, LETTERS, OUTBOX};

/// Statements that are all somebody's work, or all not.
#[derive(Debug)]
pub(super) struct Deed {
    /// For the matrix.
    pub(super) what: &'static str,
    /// Whose work it is: Relay, Application, Operator, aUditor, Janitor.
    pub(super) of: &'static str,
    pub(super) statements: &'static [&'static str],
}

pub(super) const fn deed(what: &'static str, of: &'static str, statements: &'static [&'static str]) -> Deed {
    Deed { what, of, statements }
}

/// What it is done to, and what may be done to it.
pub(super) const DEEDS: [(&str, &[Deed]); 8] = [
    ("outbox tables", &OUTBOX),
    ("the relay's memory of its slot, and recoveries", &ADVISORY),
    ("dead letters", &LETTERS),
    ("skips and pauses", &CONTROLS),
    ("delivery states, where an outbox keeps them", &DELIVERIES),
    ("the audit trail", &AUDIT),
    ("retention", &RETENTION),
    ("the rest of the server", &SERVER),
];

const AUDIT: [Deed; 6] = [
    deed("read it", "u", &["SELECT FROM outbox_relay.audit"]),
    deed(
        "append what one has done oneself, by its function",
        "r",
        &["SELECT outbox_relay.audit_append('operation', 'a', 'r', 'w', 'x', '{}')"],
    ),
    deed("read the head of the trail", "r", &["SELECT outbox_relay.audit_head()"]),
    deed(
        "empty what is old enough, by its function",
        "j",
        &["SELECT outbox_relay.audit_expire('operation', now() - interval '31 days', '{}')"],
    ),
    deed(
        "insert, change or delete rows",
        "",
        &[
            "INSERT INTO outbox_relay.audit (seq) SELECT 1 WHERE false",
            "UPDATE outbox_relay.audit SET why = 'another'",
            "DELETE FROM outbox_relay.audit",
            "TRUNCATE outbox_relay.audit",
        ],
    ),
    deed(
        "switch its triggers off, call what it rests on",
        "",
        &[
            "ALTER TABLE outbox_relay.audit DISABLE TRIGGER audit_keeps",
            "SELECT outbox_relay.audit_content_hash(NULL)",
        ],
    ),
];

const RETENTION: [Deed; 7] = [
    deed(
        "see marks and which tables are whole",
        "oj",
        &[
            "SELECT FROM outbox_relay.retention_marks",
            "SELECT FROM outbox_relay.retained_tables",
        ],
    ),
    deed(
        "ask what the slot has confirmed",
        "j",
        &[
            "SELECT outbox_relay.next_transaction()",
            "SELECT FROM outbox_relay.retention_slot('s')",
        ],
    ),
    deed(
        "forget what is known of a dropped slot",
        "r",
        &["SELECT outbox_relay.retention_forget('s')"],
    ),
    deed(
        "vouch for rows from before the slot",
        "o",
        &["SELECT outbox_relay.retention_vouch('s', 'p', 'w', '{}')"],
    ),
    deed(
        "publish an archive once more",
        "ro",
        &["SELECT outbox_relay.archive_republish('s', 'f', 'w', '{}')"],
    ),
    deed(
        "remove rows, where the slot has confirmed them",
        "j",
        &["SELECT outbox_relay.retention_remove('s', 'p', 'o', 'public', 'outbox', 'id', '0/1', 0, 1, '', 1)"],
    ),
    deed(
        "change what is known",
        "",
        &[
            "DELETE FROM outbox_relay.retention_marks",
            "DELETE FROM outbox_relay.retained_tables",
        ],
    ),
];

const SERVER: [Deed; 6] = [
    deed(
        "see which version migrated the database",
        "rouj",
        &["SELECT FROM outbox_relay.migrations"],
    ),
    deed(
        "see slots and publications (PostgreSQL shows them to everybody)",
        "raouj",
        &["SELECT FROM pg_replication_slots, pg_publication_tables"],
    ),
    deed(
        "make and drop replication slots",
        "r",
        &[
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_create_physical_replication_slot('{name}_p', false, true)",
        ],
    ),
    deed(
        "call what `migrate` calls",
        "",
        &[
            "SELECT outbox_relay.ensure_roles('a', 'b', 'c')",
            "SELECT outbox_relay.ensure_connect('a')",
            "SELECT outbox_relay.ensure_recovery('a')",
            "SELECT outbox_relay.ensure_outbox('public', 'outbox', 'a', 'b')",
            "SELECT outbox_relay.ensure_operating_roles('a', 'b', 'c', 'd')",
        ],
    ),
    deed(
        "make tables, schemas or roles",
        "",
        &[
            "CREATE TABLE public.mine ()",
            "CREATE TEMPORARY TABLE mine ()",
            "CREATE TABLE outbox_relay.mine ()",
            "CREATE SCHEMA mine",
            "CREATE ROLE {name}_more",
        ],
    ),
    deed(
        "read password hashes, run programs on the server",
        "",
        &["SELECT FROM pg_authid", "COPY (SELECT) TO PROGRAM 'true'"],
    ),
];

//! Dead letters, written as the relay writes them.

use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::scenario::Scenario;

/// What is chosen of a letter; the rest is the same for all.
pub(super) struct Letter<'l> {
    pub(super) event: &'l str,
    pub(super) state: &'l str,
    pub(super) topic: Option<&'l str>,
    pub(super) key: Option<&'l [u8]>,
    pub(super) aggregate_type: Option<&'l str>,
    pub(super) outbox: &'l str,
    pub(super) tenant: Option<&'l str>,
    pub(super) error_type: &'l str,
    pub(super) payload: &'l [u8],
    /// When it was set aside.
    pub(super) age: &'l str,
}

pub(super) const LETTER: Letter<'_> = Letter {
    event: "e",
    state: "failed",
    topic: Some("orders"),
    key: Some(b"k"),
    aggregate_type: Some("order"),
    outbox: "default",
    tenant: None,
    error_type: "record_too_large",
    payload: b"{\"amount\": \"19.90\"}",
    age: "0 s",
};

/// Puts letters behind those that are there, and returns their numbers.
pub(super) fn put(scenario: &Scenario, letters: &[Letter<'_>]) -> Outcome<Vec<i64>> {
    let database = scenario.database()?;
    let statement = "INSERT INTO outbox_relay.dead_letters (
             slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox, idempotency_key, aggregate_type,
             tenant, topic, key, headers, payload, payload_bytes, occurred_at, error_type, error_message, error_causes,
             broker_response, attempts, attempts_max, first_failed_at, last_failed_at, parks_key, state, set_aside_at)
         SELECT $1, system_identifier::text, '0/16B3748', (SELECT count(*) FROM outbox_relay.dead_letters), 742,
             '2026-05-01 06:30:00+00', $4, $2, $5, $6, $7, $8, '[[\"id\", \"e\"], [\"raw\", {\"hex\": \"00ff\"}]]', $9::bytea,
             octet_length($9::bytea), '2026-05-01 06:29:59+00', $10, 'it is too large', '{a cause}', 'MessageSizeTooLarge', 1, 3,
             now(), now(), true, $3, now() - $11::text::interval
         FROM pg_control_system() RETURNING letter_id";
    let put = letters.iter().map(|letter| {
        let rows = database.rows(
            statement,
            &[
                &scenario.name(),
                &letter.event,
                &letter.state,
                &letter.outbox,
                &letter.aggregate_type,
                &letter.tenant,
                &letter.topic,
                &letter.key,
                &letter.payload,
                &letter.error_type,
                &letter.age,
            ],
        )?;
        Ok(rows[0].try_get(0)?)
    });
    put.collect()
}

/// One key with a failed letter, two that wait behind it, one more that failed, and one that waits behind that; and one of
/// another key.
pub(super) fn put_two_keys(scenario: &Scenario) -> Outcome<Vec<i64>> {
    let letter = |event, state| Letter { event, state, ..LETTER };
    put(
        scenario,
        &[
            letter("a1", "failed"),
            letter("a2", "parked"),
            letter("a3", "parked"),
            letter("a4", "failed"),
            letter("a5", "parked"),
            Letter {
                key: Some(b"other"),
                tenant: Some("acme"),
                ..letter("b1", "failed")
            },
        ],
    )
}

/// So many failed letters, each of a key of its own.
pub(super) fn put_many(scenario: &Scenario, count: i32) -> Outcome {
    let statement = "INSERT INTO outbox_relay.dead_letters (
             slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox, idempotency_key, aggregate_type,
             topic, key, headers, payload, payload_bytes, occurred_at, error_type, error_message, attempts, attempts_max,
             first_failed_at, last_failed_at, parks_key, state)
         SELECT $1, '1', '0/1', n, 742, now(), 'default', format('e%s', n), 'order', 'orders',
             convert_to(format('k%s', n), 'UTF8'), '[]', '{}', 2, now(), 'record_too_large', 'it is too large', 1, 1, now(),
             now(), true, 'failed'
         FROM generate_series(1, $2) AS n";
    let database = scenario.database()?;
    database.rows(statement, &[&scenario.name(), &count]).map(drop)
}

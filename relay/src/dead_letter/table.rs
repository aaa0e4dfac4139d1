//! The SQL of the table of dead letters. Each function is one transaction, and can be done twice.

use outbox_decoder::{Lsn, TopicName};
use postgres_protocol::escape::escape_literal;
use rdkafka::Timestamp as RecordTimestamp;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use serde_json::{Value, json};
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Row};

use super::claim::Claim;
use super::letter::Letter;
use super::redrive::{Marked, Returned};
use super::standing::lsn;
use crate::clock;
use crate::config::Settings;
use crate::fault::{Fault, FaultCode};
use crate::hex;
use crate::pipeline::TopicKey;
use crate::postgres::PostgresError;

/// Letters that are fetched at once, and their bytes.
const FETCHED_MAX: i64 = 2_000;
const FETCHED_BYTES_MAX: i64 = 4 << 20;

/// Who acts, in the audit trail.
const ACTOR: &str = r#"{"name": "outbox-relay"}"#;

/// The table on one connection.
pub(super) struct Table<'t> {
    pub(super) client: &'t Client,
    pub(super) settings: &'t Settings,
    pub(super) system_identifier: u64,
    pub(super) claim: &'t Claim,
}

/// Of a letter `d` of slot `$1`: that no earlier letter of its key waits for its outbox to be resumed. Most of the time nothing is
/// paused, and no letter is looked at for it.
pub(crate) const NOTHING_PAUSED_BEFORE: &str = "(NOT EXISTS (SELECT FROM outbox_relay.pauses p WHERE p.slot_name = $1) OR NOT EXISTS (
        SELECT FROM outbox_relay.dead_letters b JOIN outbox_relay.pauses p ON p.slot_name = b.slot_name AND p.outbox = b.outbox
        WHERE b.slot_name = $1 AND b.topic = d.topic AND b.key = d.key AND b.parks_key AND b.state IN ('parked', 'redriving')
            AND (b.commit_lsn, b.ordinal) < (d.commit_lsn, d.ordinal)))";

/// Of a letter `d` of slot `$1`: that it is marked, and that neither its outbox nor the relay is paused, nor the outbox of an
/// earlier letter of its key.
pub(super) fn may_go() -> String {
    format!(
        "d.state = 'redriving' AND NOT EXISTS (
             SELECT FROM outbox_relay.pauses p WHERE p.slot_name = $1 AND p.outbox IN ('', d.outbox)
         ) AND {NOTHING_PAUSED_BEFORE}"
    )
}

const INSERT: &str = "
    WITH inserted AS (
        INSERT INTO outbox_relay.dead_letters (
            slot_name, system_identifier, commit_lsn, ordinal, xid, committed_at, outbox, idempotency_key, aggregate_type,
            tenant, topic, key, headers, payload, payload_bytes, occurred_at, error_type, error_message, error_causes,
            broker_response, attempts, attempts_max, first_failed_at, last_failed_at, parks_key, state, notice_due)
        SELECT $1, $2, l.commit_lsn, l.ordinal, l.xid, to_timestamp(l.committed_at / 1e6), l.outbox, l.idempotency_key,
            l.aggregate_type, l.tenant, l.topic, l.key, l.headers::jsonb, l.payload, octet_length(l.payload),
            to_timestamp(l.occurred_at / 1e3), l.error_type, l.error_message,
            ARRAY(SELECT jsonb_array_elements_text(l.error_causes::jsonb)), l.broker_response, l.attempts, l.attempts_max,
            to_timestamp(l.first_failed_at / 1e6), to_timestamp(l.last_failed_at / 1e6), l.parks_key, l.state,
            $26 AND l.error_type <> 'route_paused'
        FROM unnest($3::pg_lsn[], $4::int8[], $5::int8[], $6::int8[], $7::text[], $8::text[], $9::text[], $10::text[],
                    $11::text[], $12::bytea[], $13::text[], $14::bytea[], $15::int8[], $16::text[], $17::text[],
                    $18::text[], $19::text[], $20::int4[], $21::int4[], $22::int8[], $23::int8[], $24::bool[], $25::text[])
            AS l (commit_lsn, ordinal, xid, committed_at, outbox, idempotency_key, aggregate_type, tenant, topic, key,
                  headers, payload, occurred_at, error_type, error_message, error_causes, broker_response, attempts,
                  attempts_max, first_failed_at, last_failed_at, parks_key, state)
        ORDER BY l.commit_lsn, l.ordinal
        ON CONFLICT DO NOTHING
        RETURNING letter_id, idempotency_key, error_type, error_message, state
    ), unskipped AS (
        DELETE FROM outbox_relay.skips s USING inserted i
        WHERE s.slot_name = $1 AND s.idempotency_key = i.idempotency_key AND i.error_type NOT IN ('key_parked', 'route_paused')
    )
    SELECT letter_id, idempotency_key, error_type, error_message, state FROM inserted ORDER BY letter_id";

/// After waiting for a lock, a statement has to see what has committed meanwhile.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Keeps letters; afterwards they have committed before the position that is returned. `None`, and none is kept, when the claim is
/// another relay's.
pub(super) async fn write(table: &Table<'_>, letters: &[Letter]) -> Result<Option<Lsn>, PostgresError> {
    table.client.batch_execute(BEGIN).await?;
    let written = table.insert(letters).await;
    if end(table.client, written).await?.is_none() {
        return Ok(None);
    }
    let here = table.client.query_one("SELECT pg_current_wal_lsn()", &[]).await?;
    Ok(Some(lsn(here.try_get(0)?)))
}

/// Notes what has become of letters that were published again. Returns how many are resolved, and which keys have none left;
/// `None`, and nothing is noted, when some failed and the claim is another relay's.
pub(super) async fn settle(
    table: &Table<'_>,
    redriven: &[i64],
    returned: &[Returned],
) -> Result<Option<(usize, Vec<TopicKey>)>, PostgresError> {
    table.client.batch_execute(BEGIN).await?;
    let settled = table.mark(redriven, returned).await;
    end(table.client, settled).await
}

async fn end<T>(client: &Client, done: Result<Option<T>, PostgresError>) -> Result<Option<T>, PostgresError> {
    match done {
        Ok(done) => {
            client
                .batch_execute(if done.is_some() { "COMMIT" } else { "ROLLBACK" })
                .await?;
            Ok(done)
        }
        Err(error) => {
            // The connection is given up anyway.
            let _ = client.batch_execute("ROLLBACK").await;
            Err(error)
        }
    }
}

impl Table<'_> {
    fn slot(&self) -> &String {
        &self.settings.postgres.slot
    }

    fn outbox_name(&self, outbox: u16) -> &str {
        let name = self.settings.outbox.keys().nth(usize::from(outbox));
        name.map_or("", String::as_str)
    }

    /// Until the transaction ends, nobody else changes letters. Whether this relay still may.
    async fn lock(&self) -> Result<bool, PostgresError> {
        let lock = "SELECT outbox_relay.letters_lock($1)";
        self.client.execute(lock, &[self.slot()]).await?;
        self.claim.holds(self.client, self.slot()).await
    }

    async fn insert(&self, letters: &[Letter]) -> Result<Option<()>, PostgresError> {
        if !self.lock().await? {
            return Ok(None);
        }
        let each = |letter: &Letter| Columns::of(letter, self.outbox_name(letter.outbox));
        let columns: Vec<Columns> = letters.iter().map(each).collect();
        let inserted = insert(self, letters, &columns).await?;
        let (mut parked, mut failed, mut audits) = (Vec::new(), Vec::new(), Vec::new());
        for row in &inserted {
            let letter_id: i64 = row.try_get(0)?;
            let (event, error_type, message, state): (&str, &str, &str, &str) =
                (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            if state == "parked" {
                parked.push(letter_id);
            } else {
                failed.push(letter_id);
                audits.push((
                    "dead_letters.set_aside",
                    format!("slot {}, letter {letter_id}, event {event}", self.slot()),
                    format!("{error_type}: {message}"),
                ));
            }
        }
        self.hold_back(&failed).await?;
        if !parked.is_empty() {
            // What they were parked behind may be resolved by now.
            let release = "SELECT outbox_relay.letters_set_free($1, $2), outbox_relay.letters_named($2)";
            let row = self.client.query_one(release, &[self.slot(), &parked]).await?;
            let named: &str = row.try_get(1)?;
            audits.push((
                "dead_letters.park",
                format!("slot {}, letters {named}", self.slot()),
                "behind earlier ones of their keys".to_owned(),
            ));
        }
        self.audit(&audits).await.map(Some)
    }

    /// Letters behind these that are marked wait again: they were set aside while these rows were on their way.
    async fn hold_back(&self, failed: &[i64]) -> Result<(), PostgresError> {
        let statement = "UPDATE outbox_relay.dead_letters d SET state = 'parked' FROM outbox_relay.dead_letters f
             WHERE f.letter_id = ANY ($1) AND f.parks_key AND d.parks_key AND d.slot_name = f.slot_name
                 AND d.topic = f.topic AND d.key = f.key AND d.state = 'redriving'
                 AND (d.commit_lsn, d.ordinal) > (f.commit_lsn, f.ordinal)";
        self.client.execute(statement, &[&failed]).await?;
        Ok(())
    }

    async fn mark(
        &self,
        redriven: &[i64],
        returned: &[Returned],
    ) -> Result<Option<(usize, Vec<TopicKey>)>, PostgresError> {
        // Nobody's decision depends on whether a letter is still on its way or has arrived, so what only arrived goes on beside
        // an operator who marks others. It is true whoever says it, too.
        if !returned.is_empty() && !self.lock().await? {
            return Ok(None);
        }
        let mut audits = Vec::new();
        for letter in returned {
            self.take_back(letter).await?;
            audits.push((
                "dead_letters.redrive_failed",
                format!("slot {}, letter {}", self.slot(), letter.letter_id),
                format!("{}: {}", letter.failure.error_type, letter.failure.message),
            ));
        }
        if redriven.is_empty() {
            self.audit(&audits).await?;
            return Ok(Some((0, Vec::new())));
        }
        let named = "WITH resolved AS (
                UPDATE outbox_relay.dead_letters SET state = 'redriven', resolved_at = clock_timestamp()
                WHERE letter_id = ANY ($1) AND state = 'redriving' RETURNING letter_id
            ) SELECT count(*), outbox_relay.letters_named(array_agg(letter_id)) FROM resolved";
        let row = self.client.query_one(named, &[&redriven]).await?;
        let (resolved, named): (i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(named) = named {
            audits.push((
                "dead_letters.redriven",
                format!("slot {}, letters {named}", self.slot()),
                "acknowledged by Kafka".to_owned(),
            ));
        }
        self.audit(&audits).await?;
        let freed = self.freed(redriven).await?;
        Ok(Some((usize::try_from(resolved).unwrap_or(0), freed)))
    }

    /// Which of these keys have no letter left.
    pub(super) async fn without_letters(&self, keys: &[TopicKey]) -> Result<Vec<TopicKey>, PostgresError> {
        let statement =
            "SELECT k.topic, k.key FROM unnest($2::text[], $3::bytea[]) AS k (topic, key) WHERE NOT EXISTS (
                 SELECT FROM outbox_relay.dead_letters u
                 WHERE u.slot_name = $1 AND u.topic = k.topic AND u.key = k.key AND u.parks_key
                     AND u.state IN ('failed', 'parked', 'redriving'))";
        let topics: Vec<&str> = keys.iter().map(|(topic, _)| topic.as_str()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|(_, key)| key.as_slice()).collect();
        let rows = self.client.query(statement, &[self.slot(), &topics, &keys]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Keys of these letters that have no letter left.
    async fn freed(&self, redriven: &[i64]) -> Result<Vec<TopicKey>, PostgresError> {
        let statement = "SELECT DISTINCT d.topic, d.key FROM outbox_relay.dead_letters d
             WHERE d.letter_id = ANY ($1) AND d.topic IS NOT NULL AND d.key IS NOT NULL AND NOT EXISTS (
                 SELECT FROM outbox_relay.dead_letters u
                 WHERE u.slot_name = d.slot_name AND u.topic = d.topic AND u.key = d.key AND u.parks_key
                     AND u.state IN ('failed', 'parked', 'redriving'))";
        let rows = self.client.query(statement, &[&redriven]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// A letter failed once more: it stays, and what comes behind it waits again.
    async fn take_back(&self, letter: &Returned) -> Result<(), PostgresError> {
        let failure = &letter.failure;
        let statement = "UPDATE outbox_relay.dead_letters
            SET state = 'failed', attempts = attempts + $2, error_type = $3, error_message = $4, error_causes = $5,
                broker_response = $6, last_failed_at = clock_timestamp(),
                notice_due = notice_due OR ($7 AND error_type = 'route_paused')
            WHERE letter_id = $1 AND state = 'redriving'";
        // One that waited for its outbox was not told of: it was to be published in its place.
        let is_told = self.settings.dead_letters.topic.is_some();
        let attempts = i32::try_from(failure.attempts).unwrap_or(i32::MAX);
        self.client
            .execute(
                statement,
                &[
                    &letter.letter_id,
                    &attempts,
                    &failure.error_type,
                    &failure.message,
                    &failure.causes,
                    &failure.broker_response,
                    &is_told,
                ],
            )
            .await?;
        self.hold_back(&[letter.letter_id]).await
    }

    /// Appends to the audit trail, and shows the head of its chain in the log.
    async fn audit(&self, entries: &[(&str, String, String)]) -> Result<(), PostgresError> {
        if entries.is_empty() {
            return Ok(());
        }
        let actions: Vec<&str> = entries.iter().map(|(action, ..)| *action).collect();
        let resources: Vec<&str> = entries.iter().map(|(_, resource, _)| resource.as_str()).collect();
        let reasons: Vec<&str> = entries.iter().map(|(.., why)| why.as_str()).collect();
        let statement = format!(
            "SELECT a.seq, a.head FROM unnest($1::text[], $2::text[], $3::text[]) AS e (action, resource, why),
                 LATERAL outbox_relay.audit_append('operation', e.action, e.resource, e.why, 'done', {}::jsonb) a
             ORDER BY a.seq DESC LIMIT 1",
            escape_literal(ACTOR)
        );
        let row = self
            .client
            .query_one(&statement, &[&actions, &resources, &reasons])
            .await?;
        let (audit_seq, audit_head): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        tracing::info!(
            audit_seq,
            audit_head,
            "{} in the audit trail, the last: {} ({})",
            entries.len(),
            actions[actions.len() - 1],
            resources[resources.len() - 1]
        );
        Ok(())
    }

    /// The next letters to publish, in order. Those of another server come first: they are older than whatever this one has, and
    /// its stream will not come to where they were committed. `NOT IN` is looked up in a hash table, whatever the planner takes the
    /// number of rows for; a join may become a loop over all of both.
    pub(super) async fn fetch(&self, without: &[i64]) -> Result<Vec<Marked>, PostgresError> {
        let statement = format!(
            "SELECT letter_id, outbox, aggregate_type, topic, key, headers::text, payload,
                 (extract(epoch FROM occurred_at) * 1000)::int8, attempts, parks_key,
                 CASE WHEN system_identifier = $5 THEN commit_lsn ELSE '0/0' END
             FROM (
                 SELECT *, row_number() OVER in_order AS place, sum(coalesce(payload_bytes, 0)) OVER in_order AS bytes
                 FROM (
                     SELECT * FROM outbox_relay.dead_letters d
                     WHERE d.slot_name = $1 AND {} AND d.system_identifier = coalesce(
                             (SELECT f.system_identifier FROM outbox_relay.dead_letters f
                              WHERE f.slot_name = $1 AND f.state = 'redriving' AND f.system_identifier < $5 LIMIT 1),
                             (SELECT f.system_identifier FROM outbox_relay.dead_letters f
                              WHERE f.slot_name = $1 AND f.state = 'redriving' AND f.system_identifier > $5 LIMIT 1),
                             $5)
                         AND d.letter_id NOT IN (SELECT unnest($4::int8[]))
                     ORDER BY d.commit_lsn, d.ordinal LIMIT $2
                 ) AS first
                 WINDOW in_order AS (ORDER BY commit_lsn, ordinal)
             ) AS counted
             WHERE place = 1 OR bytes <= $3::int8
             ORDER BY commit_lsn, ordinal",
            may_go()
        );
        let system_identifier = self.system_identifier.to_string();
        let rows = self
            .client
            .query(
                &statement,
                &[
                    self.slot(),
                    &FETCHED_MAX,
                    &FETCHED_BYTES_MAX,
                    &without,
                    &system_identifier,
                ],
            )
            .await?;
        rows.iter().map(|row| self.marked(row)).collect()
    }

    fn marked(&self, row: &Row) -> Result<Marked, PostgresError> {
        let (letter_id, outbox): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        let index = self.settings.outbox.keys().position(|name| name == outbox);
        let outbox = index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX);
        let (aggregate_type, topic): (Option<&str>, Option<&str>) = (row.try_get(2)?, row.try_get(3)?);
        let topic = self.topic(outbox, topic, aggregate_type);
        let record = match topic {
            Ok(topic) => Ok((topic.clone(), message(&topic, row)?)),
            Err(why) => Err(why),
        };
        Ok(Marked {
            letter_id,
            commit_lsn: lsn(row.try_get(10)?),
            outbox,
            parks_key: row.try_get(9)?,
            record,
        })
    }

    /// Where a letter goes: as it would have gone, or by the template as it is now.
    fn topic(&self, outbox: u16, topic: Option<&str>, aggregate_type: Option<&str>) -> Result<TopicName, Fault> {
        let settings = self.settings.outbox.values().nth(usize::from(outbox));
        let rendered = match (topic, aggregate_type, settings) {
            (Some(topic), ..) => topic
                .parse()
                .map_err(|error: outbox_decoder::TopicNameError| error.to_string()),
            (None, Some(aggregate_type), Some(outbox)) => {
                let rendered = outbox.topic.render(&outbox.schema, &outbox.table, aggregate_type);
                rendered.map_err(|error| error.to_string())
            }
            (None, ..) => Err("it has no topic, and no outbox that could give it one".to_owned()),
        };
        rendered.map_err(|why| {
            Fault::new(
                FaultCode::RowMatchesNoRoute,
                why,
                "correct the outbox's topic template, or discard the letter",
            )
        })
    }
}

/// What does not fit a letter's own fields.
struct Columns<'l> {
    outbox: &'l str,
    tenant: Option<String>,
    headers: String,
    causes: String,
}

impl<'l> Columns<'l> {
    fn of(letter: &Letter, outbox: &'l str) -> Self {
        let headers = letter
            .headers
            .iter()
            .map(|(name, value)| json!([name, header_value(value)]));
        Self {
            outbox,
            tenant: letter.tenant(),
            headers: Value::Array(headers.collect()).to_string(),
            causes: json!(letter.failure.causes).to_string(),
        }
    }
}

/// Text where it is text; JSON has no other bytes.
fn header_value(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => json!(text),
        _ => json!({ "hex": hex::digits(value) }),
    }
}

fn header_bytes(value: &Value) -> Vec<u8> {
    if let Some(text) = value.as_str() {
        return text.as_bytes().to_vec();
    }
    let digits = value.get("hex").and_then(Value::as_str);
    digits.and_then(hex::bytes).unwrap_or_default()
}

/// The headers of a letter, in their order.
///
/// # Errors
/// They are not as the relay writes them.
pub(crate) fn read_headers(text: &str) -> Result<Vec<(String, Vec<u8>)>, PostgresError> {
    let pairs: Vec<(String, Value)> = serde_json::from_str(text).map_err(|error| PostgresError::Unexpected {
        got: error.to_string(),
        wanted: "headers of a dead letter as the relay wrote them",
    })?;
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name, header_bytes(&value)))
        .collect())
}

/// The record of a letter: as it was, marked, with the time of now and its own in a header.
fn message(topic: &TopicName, row: &Row) -> Result<OwnedMessage, PostgresError> {
    let (key, headers, payload): (Option<Vec<u8>>, &str, Option<Vec<u8>>) =
        (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    let (occurred_at_ms, attempts): (i64, i32) = (row.try_get(7)?, row.try_get(8)?);
    let pairs = read_headers(headers)?;
    let mut headers = OwnedHeaders::new_with_capacity(pairs.len() + 2);
    for (key, value) in &pairs {
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    for (key, value) in [("redrive", i64::from(attempts) + 1), ("occurred_at", occurred_at_ms)] {
        headers = headers.insert(Header {
            key,
            value: Some(&value.to_string()),
        });
    }
    let now_ms = RecordTimestamp::CreateTime(clock::now().as_unix_ms());
    Ok(OwnedMessage::new(
        payload,
        key,
        topic.as_str().to_owned(),
        now_ms,
        0,
        0,
        Some(headers),
    ))
}

async fn insert(table: &Table<'_>, letters: &[Letter], columns: &[Columns<'_>]) -> Result<Vec<Row>, PostgresError> {
    fn each<'l, T>(letters: &'l [Letter], of: impl Fn(&'l Letter) -> T) -> Vec<T> {
        letters.iter().map(of).collect()
    }
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let rows = table
        .client
        .query(
            INSERT,
            &[
                table.slot(),
                &table.system_identifier.to_string(),
                &each(letters, |l| PgLsn::from(l.position.commit_lsn.as_u64())),
                &each(letters, |l| i64::from(l.position.ordinal)),
                &each(letters, |l| i64::from(l.position.xid)),
                &each(letters, |l| l.committed_at.as_unix_us()),
                &columns.iter().map(|c| c.outbox).collect::<Vec<_>>(),
                &each(letters, |l| &l.idempotency_key),
                &each(letters, |l| l.aggregate_type.as_deref()),
                &columns.iter().map(|c| c.tenant.as_deref()).collect::<Vec<_>>(),
                &each(letters, |l| l.topic.as_deref()),
                &each(letters, |l| l.key.as_deref()),
                &columns.iter().map(|c| c.headers.as_str()).collect::<Vec<_>>(),
                &each(letters, |l| l.payload.as_deref()),
                &each(letters, |l| l.timestamp_ms),
                &each(letters, |l| l.failure.error_type),
                &each(letters, |l| l.failure.message.as_str()),
                &columns.iter().map(|c| c.causes.as_str()).collect::<Vec<_>>(),
                &each(letters, |l| l.failure.broker_response.as_deref()),
                &each(letters, |l| count(l.failure.attempts)),
                &each(letters, |l| count(l.failure.attempts_max)),
                &each(letters, |l| l.failure.first_at.as_unix_us()),
                &each(letters, |l| l.failure.last_at.as_unix_us()),
                &each(letters, |l| l.parks_key),
                &each(letters, |l| l.begins.name()),
                &table.settings.dead_letters.topic.is_some(),
            ],
        )
        .await?;
    Ok(rows)
}

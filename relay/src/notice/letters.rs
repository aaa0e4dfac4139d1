//! Letters that nobody was told of: read from the table, told, and marked there as told.

use outbox_decoder::{Position, TopicName};
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Row};

use super::post::Post;
use super::record::{Due, Extent, payload_bytes_max};
use crate::config::Settings;
use crate::dead_letter::{read_headers, read_lsn};
use crate::fault::{Fault, FaultCode};
use crate::kafka::Record;
use crate::postgres::{PostgresError, fault};
use crate::telemetry::Metrics;

/// Letters that are read at once, and the bytes of their payloads.
const READ_MAX: i64 = 500;
const READ_BYTES_MAX: i64 = 4 << 20;
/// librdkafka's own, where nothing else is configured.
const MESSAGE_BYTES_MAX: usize = 1_000_000;

/// Tells of letters until there are none. Whether there were any.
pub(super) async fn tell(
    client: &Client,
    settings: &Settings,
    topic: &TopicName,
    post: &mut Post,
    metrics: &Metrics,
) -> Result<bool, Fault> {
    let of_database = |error: PostgresError| fault(&error, &settings.postgres);
    let mut has_told = false;
    loop {
        let due = read(client, settings).await.map_err(of_database)?;
        if due.is_empty() {
            return Ok(has_told);
        }
        let ids: Vec<i64> = due.iter().map(|due| due.letter_id).collect();
        let letters = Letters {
            settings,
            topic,
            metrics,
        };
        letters.publish(post, &due).await?;
        mark(client, &ids).await.map_err(of_database)?;
        has_told = true;
    }
}

struct Letters<'l> {
    settings: &'l Settings,
    topic: &'l TopicName,
    metrics: &'l Metrics,
}

impl Letters<'_> {
    async fn publish(&self, post: &mut Post, due: &[Due]) -> Result<(), Fault> {
        let records: Vec<Record> = due.iter().map(|due| self.record(due, due.extent())).collect();
        match post.publish(self.settings, &records).await {
            Ok(()) => {
                for due in due {
                    self.count(Some(due.extent()));
                }
                Ok(())
            }
            Err(fault) if is_of_record(&fault) => self.publish_each(post, due).await,
            Err(fault) => Err(fault),
        }
    }

    /// One of them is refused as it is. Those before it may be told twice.
    async fn publish_each(&self, post: &mut Post, due: &[Due]) -> Result<(), Fault> {
        let mut refused = Vec::new();
        for due in due {
            let told = self.publish_one(post, due).await?;
            self.count(told.as_ref().ok().copied());
            if let Err(fault) = told {
                refused.push((due.letter_id, fault));
            }
        }
        if let Some((letter, fault)) = refused.first() {
            tracing::warn!(
                code = fault.code.name(),
                letters = refused.len(),
                letter,
                "topic {} does not take the notices of these dead letters at all; they are in the table: {}",
                self.topic,
                fault.message
            );
        }
        Ok(())
    }

    /// With as much of it as the brokers take: how much that is, or why they take nothing.
    async fn publish_one(&self, post: &mut Post, due: &Due) -> Result<Result<Extent, Fault>, Fault> {
        let mut refused = None;
        for extent in [Extent::Whole, Extent::Reference, Extent::Reason] {
            if extent == Extent::Whole && due.extent() != Extent::Whole {
                continue;
            }
            match post.publish(self.settings, &[self.record(due, extent)]).await {
                Ok(()) => return Ok(Ok(extent)),
                Err(fault) if is_of_record(&fault) => refused = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        Ok(refused.map_or(Ok(Extent::Reason), Err))
    }

    fn record(&self, due: &Due, extent: Extent) -> Record {
        due.record(self.topic, &self.settings.postgres.slot, extent)
    }

    fn count(&self, told: Option<Extent>) {
        self.metrics.show_letter_notice(match told {
            Some(Extent::Whole) => "published",
            Some(Extent::Reference | Extent::Reason) => "published_as_reference",
            None => "refused",
        });
    }
}

/// Whether another record could go where this one cannot.
const fn is_of_record(fault: &Fault) -> bool {
    matches!(fault.code, FaultCode::RecordTooLarge | FaultCode::RecordRefused)
}

/// The next ones, in the order in which they were written. What a record cannot hold is not even read.
async fn read(client: &Client, settings: &Settings) -> Result<Vec<Due>, PostgresError> {
    let statement = "SELECT letter_id, commit_lsn, ordinal, xid, outbox, idempotency_key, topic, key, headers::text,
             CASE WHEN payload_bytes <= $2 THEN payload END, payload_bytes, (extract(epoch FROM occurred_at) * 1000)::int8,
             error_type, error_message, broker_response, attempts, state
         FROM (
             SELECT *, row_number() OVER in_order AS place,
                 sum(CASE WHEN payload_bytes <= $2 THEN payload_bytes ELSE 0 END) OVER in_order AS bytes
             FROM (
                 SELECT * FROM outbox_relay.dead_letters WHERE slot_name = $1 AND notice_due ORDER BY letter_id LIMIT $3
             ) AS first
             WINDOW in_order AS (ORDER BY letter_id)
         ) AS counted
         WHERE place = 1 OR bytes <= $4::int8
         ORDER BY letter_id";
    let slot = &settings.postgres.slot;
    let payload_max = i64::try_from(payload_bytes_max(message_bytes_max(settings))).unwrap_or(i64::MAX);
    let payload_max = payload_max.min(READ_BYTES_MAX);
    let rows = client
        .query(statement, &[slot, &payload_max, &READ_MAX, &READ_BYTES_MAX])
        .await?;
    rows.iter().map(due).collect()
}

fn due(row: &Row) -> Result<Due, PostgresError> {
    let (commit_lsn, ordinal, xid): (PgLsn, i64, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let unexpected = |_| PostgresError::Unexpected {
        got: format!("ordinal {ordinal}, xid {xid}"),
        wanted: "a row of outbox_relay.dead_letters as the relay wrote it",
    };
    let headers: &str = row.try_get(8)?;
    Ok(Due {
        letter_id: row.try_get(0)?,
        position: Position {
            commit_lsn: read_lsn(commit_lsn),
            ordinal: u32::try_from(ordinal).map_err(unexpected)?,
            xid: u32::try_from(xid).map_err(unexpected)?,
        },
        outbox: row.try_get(4)?,
        idempotency_key: row.try_get(5)?,
        topic: row.try_get(6)?,
        key: row.try_get(7)?,
        headers: read_headers(headers)?,
        payload: row.try_get(9)?,
        payload_bytes: row.try_get(10)?,
        occurred_at_ms: row.try_get(11)?,
        error_type: row.try_get(12)?,
        error_message: row.try_get(13)?,
        broker_response: row.try_get(14)?,
        attempts: row.try_get(15)?,
        state: row.try_get(16)?,
    })
}

fn message_bytes_max(settings: &Settings) -> usize {
    let configured = settings.kafka.properties.get("message.max.bytes");
    let configured = configured.and_then(|bytes| bytes.parse().ok());
    configured.unwrap_or(MESSAGE_BYTES_MAX)
}

async fn mark(client: &Client, ids: &[i64]) -> Result<(), PostgresError> {
    // Whoever changes one of them now is not waited for: that one is told once more.
    let statement = "UPDATE outbox_relay.dead_letters SET notice_due = false WHERE letter_id IN (
             SELECT letter_id FROM outbox_relay.dead_letters WHERE letter_id = ANY ($1)
             ORDER BY letter_id FOR UPDATE SKIP LOCKED)";
    client.execute(statement, &[&ids]).await?;
    Ok(())
}

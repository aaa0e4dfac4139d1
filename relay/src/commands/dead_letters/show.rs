//! `outbox-relay dead-letters show`.

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};
use tokio_postgres::Row;

use super::super::output;
use super::letter::{COLUMNS, Letter, key_shown};
use super::{Failure, Operation, Refusal};
use crate::hex;

/// What is shown of a payload, unless all of it is asked for.
const PAYLOAD_SHOWN: i32 = 4096;
const MASKED: &str = "(masked)";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Its number, as `list` shows it
    #[arg(value_name = "LETTER")]
    letter: i64,
    /// All of the payload, not its first 4 KiB alone
    #[arg(long)]
    full: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// What the record says, where this role may read it.
struct Content {
    headers: Option<String>,
    may_read_payload: bool,
    /// Its beginning.
    payload: Option<Vec<u8>>,
}

pub(super) async fn show(operation: &Operation<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let row = read(operation, arguments).await?;
    let (letter, content) = operation.read(|| Ok((Letter::of(&row)?, Content::of(&row)?)))?;
    if arguments.json {
        return output::write(&format!("{}\n", as_json(&letter, &content)));
    }
    let standing = standing(operation, &letter).await?;
    output::write(&as_text(&letter, &content, &standing))
}

async fn read(operation: &Operation<'_>, arguments: &Arguments) -> Result<Row, Failure> {
    let may = operation
        .row(
            "SELECT has_column_privilege('outbox_relay.dead_letters', 'headers', 'SELECT'),
                    has_column_privilege('outbox_relay.dead_letters', 'payload', 'SELECT')",
            &[],
        )
        .await?;
    let (may_headers, may_payload): (bool, bool) = operation.read(|| Ok((may.try_get(0)?, may.try_get(1)?)))?;
    let headers = if may_headers { "d.headers::text" } else { "NULL::text" };
    let payload = if may_payload {
        "substr(d.payload, 1, $3)"
    } else {
        "NULL::bytea"
    };
    let statement = format!(
        "SELECT {COLUMNS}, {headers} AS headers, {payload} AS payload, {may_payload} AS may_read_payload
         FROM outbox_relay.dead_letters d WHERE d.slot_name = $1 AND d.letter_id = $2 AND $3::int4 IS NOT NULL"
    );
    let shown = if arguments.full { i32::MAX } else { PAYLOAD_SHOWN };
    let rows = operation
        .rows(&statement, &[operation.slot(), &arguments.letter, &shown])
        .await?;
    rows.into_iter().next().ok_or_else(|| {
        Failure::new(
            Refusal::DeadLetterUnknown,
            format!("slot {} has no dead letter {}", operation.slot(), arguments.letter),
            "`outbox-relay dead-letters list` lists those that there are",
        )
    })
}

/// What it waits for, and what waits for it.
async fn standing(operation: &Operation<'_>, letter: &Letter) -> Result<String, Failure> {
    let statement = "SELECT
            (SELECT f.letter_id FROM outbox_relay.dead_letters f
             WHERE f.slot_name = $1 AND f.topic = $2 AND f.key = $3 AND f.state = 'failed' AND f.parks_key
                 AND (f.commit_lsn, f.ordinal) < ($4, $5)
             ORDER BY f.commit_lsn, f.ordinal LIMIT 1),
            (SELECT count(*) FROM outbox_relay.dead_letters p
             WHERE p.slot_name = $1 AND p.topic = $2 AND p.key = $3 AND p.state = 'parked'
                 AND (p.commit_lsn, p.ordinal) > ($4, $5))";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
        &letter.slot,
        &letter.topic,
        &letter.key,
        &letter.commit_lsn,
        &letter.ordinal,
    ];
    let row = operation.row(statement, &parameters).await?;
    let (earlier, behind): (Option<i64>, i64) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    Ok(match (letter.state.as_str(), earlier) {
        ("failed", _) if letter.parks_key => format!("{behind} letters of its key wait behind it"),
        ("parked", Some(earlier)) => format!("waits behind {earlier}, which failed"),
        ("parked", None) => format!("waits until outbox {} is resumed", letter.outbox),
        ("redriving", _) => "waits for the relay".to_owned(),
        _ => "nothing waits for it".to_owned(),
    })
}

impl Content {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            headers: row.try_get("headers")?,
            may_read_payload: row.try_get("may_read_payload")?,
            payload: row.try_get("payload")?,
        })
    }

    /// As the relay wrote them: pairs of a name and a text, or `{"hex": …}`.
    fn headers(&self) -> Option<Value> {
        let text = self.headers.as_ref()?;
        serde_json::from_str(text).ok()
    }

    fn as_text(&self) -> Option<&str> {
        let payload = self.payload.as_ref()?;
        match std::str::from_utf8(payload) {
            Ok(text) => Some(text),
            // The end of what is shown may lie within a character.
            Err(error) if error.error_len().is_none() => std::str::from_utf8(&payload[..error.valid_up_to()]).ok(),
            Err(_) => None,
        }
    }
}

fn as_json(letter: &Letter, content: &Content) -> Value {
    let mut shown = letter.as_json();
    shown["headers"] = content.headers().unwrap_or_else(|| json!(MASKED));
    let bytes = content.payload.as_deref();
    shown["payload"] = match content.as_text() {
        Some(text) => json!(text),
        None if content.may_read_payload => Value::Null,
        None => json!(MASKED),
    };
    if let (None, Some(bytes)) = (content.as_text(), bytes) {
        shown["payload_hex"] = json!(hex::digits(bytes));
    }
    shown
}

fn as_text(letter: &Letter, content: &Content, standing: &str) -> String {
    let mut text = String::new();
    for (name, value) in facts(letter, standing) {
        let _ = writeln!(text, "{:<16}{}", format!("{name}:"), output::on_one_line(&value));
    }
    text.push_str(&headers_shown(content));
    text.push_str(&payload_shown(letter, content));
    text
}

fn facts(letter: &Letter, standing: &str) -> Vec<(&'static str, String)> {
    let Letter { error, .. } = letter;
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    let mut facts = vec![
        ("letter", letter.letter_id.to_string()),
        ("state", format!("{}; {standing}", letter.state)),
        ("error", format!("{}: {}", error.error_type, error.message)),
    ];
    facts.extend(error.causes.iter().map(|cause| ("  cause", cause.clone())));
    facts.extend(error.broker_response.iter().map(|said| ("broker", said.clone())));
    facts.extend([
        ("attempts", letter.attempts()),
        ("first failed", error.first_failed_at.clone()),
        ("last failed", error.last_failed_at.clone()),
        ("set aside", letter.set_aside_at.clone()),
        (
            "resolved",
            letter.resolved_at.clone().unwrap_or_else(|| "no".to_owned()),
        ),
        ("event id", letter.event.clone()),
        ("outbox", letter.outbox.clone()),
        ("aggregate type", or_none(&letter.aggregate_type)),
        ("tenant", or_none(&letter.tenant)),
        ("topic", or_none(&letter.topic)),
        ("key", key_shown(letter.key.as_deref())),
        ("slot", letter.slot.clone()),
        ("server", letter.system_identifier.clone()),
        (
            "commit",
            format!(
                "{}, row {} of transaction {}",
                letter.commit_lsn, letter.ordinal, letter.xid
            ),
        ),
        ("committed", letter.committed_at.clone()),
        ("occurred", letter.occurred_at.clone()),
    ]);
    facts
}

fn headers_shown(content: &Content) -> String {
    let Some(headers) = content.headers() else {
        return format!("headers:        {MASKED}\n");
    };
    let mut text = "headers:\n".to_owned();
    for pair in headers.as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap_or_default();
        let value = pair[1].as_str().map_or_else(|| pair[1].to_string(), str::to_owned);
        let _ = writeln!(text, "  {}: {}", output::on_one_line(name), output::on_one_line(&value));
    }
    text
}

fn payload_shown(letter: &Letter, content: &Content) -> String {
    let size = letter.payload_bytes.unwrap_or(0);
    let Some(payload) = content.payload.as_deref() else {
        let what = if content.may_read_payload { "(none)" } else { MASKED };
        return format!("payload:        {what}\n");
    };
    let is_whole = i64::try_from(payload.len()).is_ok_and(|shown| shown >= size);
    let cut = if is_whole {
        ""
    } else {
        ", the first 4096 here; --full shows all"
    };
    match content.as_text() {
        Some(text) => format!("payload:        {size} bytes{cut}\n{}\n", output::on_lines(text)),
        None => format!("payload:        {size} bytes{cut}, no text\n{}\n", hex::digits(payload)),
    }
}

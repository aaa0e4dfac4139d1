//! `outbox-relay skip`: one event by name. It becomes a dead letter when the relay comes to it, never nothing.

use clap::Args;

use super::dead_letters::next_of;
use super::operation::{Operation, Who, Work, show_head};
use super::reason::Reason;
use super::table::Table;
use super::{Failure, Refusal, event_id, output};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The event's idempotency key: its row's id, the header `id` of its record
    #[arg(value_name = "EVENT_ID", required_unless_present = "list")]
    event: Option<String>,
    #[command(flatten)]
    reason: Reason,
    /// Take that back, as long as the relay has not come to the event
    #[arg(long, conflicts_with = "list")]
    withdraw: bool,
    /// List the events that the relay has not come to, and change nothing
    #[arg(long, conflicts_with_all = ["event", "reason"])]
    list: bool,
    #[command(flatten)]
    who: Who,
}

pub(super) async fn skip(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { event, reason, who, .. } = arguments;
    let Some(event) = event else {
        return list_skips(&Operation::begin(settings, &who.login, Work::Reader).await?).await;
    };
    let why = reason.required()?;
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    if !(arguments.withdraw && is_named(&operation, event).await?) {
        refuse_dead_letter(&operation, event).await?;
    }
    if !arguments.withdraw {
        event_id::check(&operation, event).await?;
    }
    let statement = if arguments.withdraw {
        "SELECT audit_seq, audit_head FROM outbox_relay.skip_withdraw($1, $2, $3, $4::text::jsonb)"
    } else {
        "SELECT audit_seq, audit_head FROM outbox_relay.skip($1, $2, $3, $4::text::jsonb)"
    };
    let actor = who.actor.as_json(None);
    let row = operation
        .row(statement, &[operation.slot(), event, &why, &actor])
        .await?;
    let (seq, head): (i64, String) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    show_head(seq, &head);
    output::write(&what_happens(event, operation.slot(), arguments.withdraw))
}

fn what_happens(event: &str, slot: &str, is_withdrawn: bool) -> String {
    if is_withdrawn {
        return format!(
            "event {event} is not skipped any more; the relay on slot {slot} hears of it within a second or two, and what it \
             has set aside by then is a dead letter, which can be redriven\n"
        );
    }
    format!(
        "event {event} becomes a dead letter when the relay on slot {slot} comes to it; one that was published already stays \
         published\n"
    )
}

async fn is_named(operation: &Operation<'_>, event: &String) -> Result<bool, Failure> {
    let statement = "SELECT FROM outbox_relay.skips WHERE slot_name = $1 AND idempotency_key = $2";
    let skips = operation.rows(statement, &[operation.slot(), event]).await?;
    Ok(!skips.is_empty())
}

/// What is a dead letter already cannot become one.
async fn refuse_dead_letter(operation: &Operation<'_>, event: &String) -> Result<(), Failure> {
    let statement = "SELECT letter_id, state FROM outbox_relay.dead_letters
         WHERE slot_name = $1 AND idempotency_key = $2 ORDER BY letter_id DESC LIMIT 1";
    let rows = operation.rows(statement, &[operation.slot(), event]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (letter, state): (i64, &str) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    Err(Failure::new(
        Refusal::WrongState,
        format!("event {event} is a dead letter already: {letter}, which is {state}"),
        next_of(state, letter),
    ))
}

async fn list_skips(operation: &Operation<'_>) -> Result<(), Failure> {
    let statement = r#"SELECT idempotency_key, to_char(asked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), why
        FROM outbox_relay.skips WHERE slot_name = $1 ORDER BY asked_at"#;
    let rows = operation.rows(statement, &[operation.slot()]).await?;
    if rows.is_empty() {
        return output::write("no event is waited for to be skipped\n");
    }
    let mut table = Table::new(["EVENT", "SINCE", "WHY…"]);
    for row in &rows {
        table.row(operation.read(|| Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?]))?);
    }
    output::write(&table.for_output())
}

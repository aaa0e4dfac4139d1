//! `outbox-relay audit export`.

use clap::Args;
use outbox_decoder::Timestamp;
use serde_json::{Map, Value, json};

use super::super::moment::moment;
use super::super::operation::Operation;
use super::super::output;
use super::Failure;
use super::entry::{CONTENT, Entries, Entry};
use crate::hex;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Since then: 2026-05-01T06:30:00Z, 2026-05-01, or 2h ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Of this action, such as `dead_letters.redrive`; repeatable
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// By whom: the name given, the database role or the user of the system
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
}

const ASKED_FOR: &str = "($3::int8 IS NULL OR at >= to_timestamp($3 / 1e6))
    AND ($4::int8 IS NULL OR at < to_timestamp($4 / 1e6))
    AND ($5::text[] IS NULL OR action = ANY ($5))
    AND ($6::text IS NULL OR $6 IN (actor, database_role, os_user))";

pub(super) async fn export(operation: &Operation<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let (since_us, until_us) = (
        arguments.since.map(Timestamp::as_unix_us),
        arguments.until.map(Timestamp::as_unix_us),
    );
    let actions = (!arguments.action.is_empty()).then_some(&arguments.action);
    let mut entries = Entries::of(operation, ASKED_FOR);
    while let Some(page) = entries
        .next(&[&since_us, &until_us, &actions, &arguments.actor])
        .await?
    {
        let lines = page.iter().map(|entry| format!("{}\n", as_json(entry)));
        output::write(&lines.collect::<String>())?;
    }
    Ok(())
}

/// All that the hashes are made of, and the hashes.
fn as_json(entry: &Entry) -> Value {
    let mut object = Map::new();
    object.insert("seq".to_owned(), json!(entry.seq));
    object.insert("kind".to_owned(), json!(entry.kind));
    object.insert("at".to_owned(), json!(entry.at));
    for (name, value) in CONTENT.iter().zip(&entry.content) {
        object.insert((*name).to_owned(), json!(value));
    }
    object.insert("content_hash".to_owned(), json!(hex::digits(&entry.content_hash)));
    object.insert("hash".to_owned(), json!(hex::digits(&entry.hash)));
    object.insert("expired_at".to_owned(), json!(entry.expired_at));
    Value::Object(object)
}

//! `outbox-relay pause` and `resume`: what is written down in the database, and so survives a restart of the relay.

use clap::Args;

use super::operation::{Operation, Who, Work, show_head};
use super::reason::Reason;
use super::table::Table;
use super::wal_budget::WalBudget;
use super::{Failure, Refusal, output};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct PauseArguments {
    #[command(flatten)]
    of: Paused,
    /// List what is paused, and change nothing
    #[arg(long, conflicts_with_all = ["outbox", "reason"])]
    list: bool,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArguments {
    #[command(flatten)]
    of: Paused,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, Args)]
struct Paused {
    /// Only this outbox of the configuration; without it, the whole relay
    #[arg(long, value_name = "NAME")]
    outbox: Option<String>,
    #[command(flatten)]
    reason: Reason,
}

impl Paused {
    /// As the database has it: empty for the whole relay.
    fn outbox(&self, settings: &Settings) -> Result<&str, Failure> {
        let Some(outbox) = self.outbox.as_deref() else {
            return Ok("");
        };
        if settings.outbox.contains_key(outbox) {
            return Ok(outbox);
        }
        let names: Vec<&str> = settings.outbox.keys().map(String::as_str).collect();
        Err(Failure::new(
            Refusal::OutboxUnknown,
            format!("no outbox {outbox} is configured"),
            format!("--outbox is one of {}", names.join(", ")),
        ))
    }
}

pub(super) async fn pause(settings: &Settings, arguments: &PauseArguments) -> Result<(), Failure> {
    let PauseArguments { of, list, who } = arguments;
    if *list {
        return list_pauses(&Operation::begin(settings, &who.login, Work::Reader).await?).await;
    }
    let (outbox, why) = (of.outbox(settings)?, of.reason.required()?);
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    let statement = "SELECT audit_seq, audit_head FROM outbox_relay.pause($1, $2, $3, $4::text::jsonb)";
    let actor = who.actor.as_json(None);
    let row = operation
        .row(statement, &[operation.slot(), &outbox, &why, &actor])
        .await?;
    let (seq, head): (i64, String) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    show_head(seq, &head);
    output::write(&what_happens(&operation, outbox).await?)
}

async fn what_happens(operation: &Operation<'_>, outbox: &str) -> Result<String, Failure> {
    let slot = operation.slot();
    if !outbox.is_empty() {
        return Ok(format!(
            "outbox {outbox} is paused: its events are set aside, parked and in order, over restarts too, and the others flow \
             on; a running relay notices within about a second, and what it takes until then is published\n\
             after `outbox-relay resume --outbox {outbox}` the rest is published too\n"
        ));
    }
    let budget = WalBudget::measure(operation).await?;
    Ok(format!(
        "the relay on slot {slot} is paused, over restarts too: it publishes nothing until `outbox-relay resume`; commits go \
         on, and the slot keeps their WAL\n{budget}\n"
    ))
}

pub(super) async fn resume(settings: &Settings, arguments: &ResumeArguments) -> Result<(), Failure> {
    let ResumeArguments { of, who } = arguments;
    let why = of.reason.required()?;
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    let outbox = to_resume(of, settings, &operation).await?;
    let marked = marked(&operation, outbox).await?;
    let statement = "SELECT audit_seq, audit_head, released FROM outbox_relay.resume($1, $2, $3, $4::text::jsonb)";
    let actor = who.actor.as_json(None);
    let row = operation
        .row(statement, &[operation.slot(), &outbox, &why, &actor])
        .await?;
    let (seq, head, released): (i64, String, i64) =
        operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
    show_head(seq, &head);
    output::write(&match outbox {
        "" => format!(
            "the relay on slot {} publishes again, {marked} marked letters too\n",
            operation.slot()
        ),
        outbox => format!(
            "outbox {outbox} flows again; {released} parked letters are published first, and {marked} that were marked before\n"
        ),
    })
}

/// Letters that were to be published already, and waited for this.
async fn marked(operation: &Operation<'_>, outbox: &str) -> Result<i64, Failure> {
    let statement = "SELECT count(*) FROM outbox_relay.dead_letters
         WHERE slot_name = $1 AND state = 'redriving' AND $2 IN ('', outbox)";
    let row = operation.row(statement, &[operation.slot(), &outbox]).await?;
    operation.read(|| row.try_get(0))
}

/// What is meant. One that is paused can be resumed although the configuration does not know it any more; and who says the relay,
/// which is not paused, means the outbox that is.
async fn to_resume<'p>(of: &'p Paused, settings: &Settings, operation: &Operation<'_>) -> Result<&'p str, Failure> {
    let statement = "SELECT outbox FROM outbox_relay.pauses WHERE slot_name = $1 ORDER BY outbox";
    let rows = operation.rows(statement, &[operation.slot()]).await?;
    let paused: Vec<&str> = operation.read(|| rows.iter().map(|row| row.try_get(0)).collect())?;
    let named = of.outbox.as_deref().unwrap_or_default();
    match paused.first() {
        _ if paused.contains(&named) => Ok(named),
        Some(first) if named.is_empty() => Err(Failure::new(
            Refusal::WrongState,
            format!(
                "the relay on slot {} is not paused; paused is outbox {}",
                operation.slot(),
                paused.join(", ")
            ),
            format!("`outbox-relay resume --outbox {first} --reason TEXT`"),
        )),
        _ => of.outbox(settings),
    }
}

async fn list_pauses(operation: &Operation<'_>) -> Result<(), Failure> {
    let statement = r#"SELECT outbox, to_char(paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), why
        FROM outbox_relay.pauses WHERE slot_name = $1 ORDER BY outbox"#;
    let rows = operation.rows(statement, &[operation.slot()]).await?;
    if rows.is_empty() {
        return output::write("nothing is paused\n");
    }
    let mut table = Table::new(["PAUSED", "SINCE", "WHY…"]);
    for row in &rows {
        let (outbox, since, why): (&str, String, String) =
            operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
        let what = match outbox {
            "" => "the relay".to_owned(),
            outbox => format!("outbox {outbox}"),
        };
        table.row([what, since, why]);
    }
    output::write(&table.for_output())
}

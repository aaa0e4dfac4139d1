//! `outbox-relay dead-letters discard`.

use clap::Args;
use serde_json::json;

use super::super::operation::show_head;
use super::decision::{BATCH, Decision, Verb};
use super::progress::Progress;
use super::{Failure, Operation, Who, Work};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    decision: Decision,
}

pub(super) async fn discard(settings: &Settings, who: &Who, arguments: &Arguments) -> Result<(), Failure> {
    let decision = &arguments.decision;
    let why = decision.reason()?;
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    let Some(selection) = decision.settle(&operation, Verb::Discard).await? else {
        return Ok(());
    };
    let actor = who.actor.as_json(decision.chosen.filter.tenant.as_deref());
    let (mut discarded, mut released, mut head) = (0, 0, None);
    let mut progress = Progress::of(selection.letters.len(), "discarded");
    for batch in selection.letters.chunks(BATCH) {
        let done = discard_batch(&operation, batch, why, &actor).await;
        let done = done.inspect_err(|_| progress.leave(discarded))?;
        discarded += done.discarded;
        released += done.released;
        head = Some(done.head);
        progress.show(discarded);
    }
    progress.end();
    if let Some((seq, head)) = &head {
        show_head(*seq, head);
    }
    if decision.json {
        let audit = head.map(|(seq, head)| format!("{seq}:{head}"));
        println!(
            "{}",
            json!({ "discarded": discarded, "released": released, "audit": audit })
        );
    } else if discarded > 0 {
        println!("{discarded} discarded; {released} released behind them, which the relay publishes");
    }
    Ok(())
}

/// What one batch came to.
struct Done {
    discarded: i64,
    released: i64,
    head: (i64, String),
}

async fn discard_batch(operation: &Operation<'_>, batch: &[i64], why: &str, actor: &str) -> Result<Done, Failure> {
    let statement = "SELECT discarded, released, audit_seq, audit_head
         FROM outbox_relay.letters_discard($1, $2, $3, $4::text::jsonb)";
    let row = operation
        .row(statement, &[operation.slot(), &batch, &why, &actor])
        .await?;
    operation.read(|| {
        Ok(Done {
            discarded: row.try_get(0)?,
            released: row.try_get(1)?,
            head: (row.try_get(2)?, row.try_get(3)?),
        })
    })
}

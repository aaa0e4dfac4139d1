//! `outbox-relay dead-letters redrive`.

use clap::Args;
use serde_json::json;

use super::super::interrupt::Interrupt;
use super::super::operation::show_head;
use super::decision::{Decision, Verb};
use super::marking::{Marked, Marking};
use super::publish_marked::publish_marked;
use super::settling::{Settled, Settling, Stop};
use super::{Failure, Operation, Refusal, Who, Work, block_on};
use crate::config::Settings;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    decision: Decision,
    /// Mark at most so many letters a second; what is released behind them comes on top
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// Do not wait until the relay has published them
    #[arg(long)]
    no_wait: bool,
    /// Publish what is marked without a relay, holding its slot; without letters and filters, what is marked already
    #[arg(long)]
    pub(super) execute: bool,
}

pub(super) fn redrive(settings: &Settings, who: &Who, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { decision, execute, .. } = arguments;
    if !*execute || decision.dry_run {
        return block_on(async {
            let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
            mark_and_wait(&operation, who, arguments).await
        });
    }
    let marked = block_on(mark_to_publish(settings, who, arguments))?;
    if marked.is_empty() {
        eprintln!("nothing is marked");
        return Ok(());
    }
    publish_marked(settings)?;
    block_on(tell_outcome(settings, who, marked))
}

/// All that is marked then, in order.
async fn mark_to_publish(settings: &Settings, who: &Who, arguments: &Arguments) -> Result<Vec<i64>, Failure> {
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    may_publish(&operation).await?;
    if !arguments.decision.chosen.is_nothing() {
        mark_and_wait(&operation, who, arguments).await?;
    }
    let statement = "SELECT letter_id FROM outbox_relay.dead_letters WHERE slot_name = $1 AND state = 'redriving'
         ORDER BY commit_lsn, ordinal";
    let rows = operation.rows(statement, &[operation.slot()]).await?;
    operation.read(|| rows.iter().map(|row| row.try_get(0)).collect())
}

/// What became of them.
async fn tell_outcome(settings: &Settings, who: &Who, marked: Vec<i64>) -> Result<(), Failure> {
    let operation = Operation::begin(settings, &who.login, Work::Operator).await?;
    let mut settling = Settling::of(&operation, marked.into_iter());
    settling.look_at_all().await?;
    if settling.left() > 0 {
        eprintln!(
            "{} stay marked: their outbox is paused, or was not come to",
            settling.left()
        );
    }
    conclude(Stop::Done, &settling)
}

/// Refuses what would wait for ever: a relay that has the slot, or a pause.
async fn may_publish(operation: &Operation<'_>) -> Result<(), Failure> {
    let slot = operation.slot();
    let statement = "SELECT coalesce((SELECT active FROM pg_replication_slots WHERE slot_name = $1), false),
            EXISTS (SELECT FROM outbox_relay.pauses WHERE slot_name = $1 AND outbox = '')";
    let row = operation.row(statement, &[slot]).await?;
    let (streams, is_paused): (bool, bool) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
    if streams {
        return Err(Failure::new(
            Refusal::SlotInUse,
            format!("a relay streams from slot {slot}: it publishes what is marked"),
            "the same command without --execute; or stop the relay first",
        ));
    }
    if is_paused {
        return Err(Failure::new(
            Refusal::WrongState,
            format!("the relay on slot {slot} is paused: nothing is published"),
            "`outbox-relay resume`, then run it again",
        ));
    }
    Ok(())
}

async fn mark_and_wait(operation: &Operation<'_>, who: &Who, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { decision, .. } = arguments;
    let why = decision.reason()?;
    let Some(selection) = decision.settle(operation, Verb::Redrive).await? else {
        return Ok(());
    };
    if !selection.marked.is_empty() {
        eprintln!("{} marked already", selection.marked.len());
    }
    let mut interrupt = Interrupt::watch()?;
    let marking = Marking {
        operation,
        why,
        actor: who.actor.as_json(decision.chosen.filter.tenant.as_deref()),
        per_second: arguments.per_second,
    };
    let marked = marking.mark(&selection.letters, &mut interrupt).await?;
    if let Some((seq, head)) = &marked.head {
        show_head(*seq, head);
    }
    if marked.chosen < selection.letters.len() {
        return Err(interrupted(&marked, selection.letters.len()));
    }
    let mut settling = Settling::of(operation, selection.marked.iter().chain(&marked.pending).copied());
    let stop = if arguments.no_wait || arguments.execute {
        Stop::NotAwaited
    } else {
        settling.wait(&mut interrupt).await?
    };
    report(decision, &marked, &settling.settled, settling.left());
    if arguments.execute || selection.letters.is_empty() && selection.marked.is_empty() {
        return Ok(());
    }
    conclude(stop, &settling)
}

fn report(decision: &Decision, marked: &Marked, settled: &Settled, left: usize) {
    if decision.json {
        let object = json!({
            "marked": marked.chosen,
            "released": marked.released,
            "published": settled.published,
            "failed_again": settled.failed,
            "parked_again": settled.parked,
            "left": left,
            "audit": marked.head.as_ref().map(|(seq, head)| format!("{seq}:{head}")),
        });
        println!("{object}");
    } else if marked.chosen > 0 {
        println!("{} marked; {} released behind them", marked.chosen, marked.released);
    }
}

/// How it ended, for people and for the exit code.
fn conclude(stop: Stop, settling: &Settling<'_, '_>) -> Result<(), Failure> {
    let (settled, left) = (&settling.settled, settling.left());
    match stop {
        Stop::Done if settled.failed > 0 => Err(settled.failed_again()),
        Stop::Done => {
            eprintln!("{} published", settled.published);
            Ok(())
        }
        Stop::NotAwaited => {
            eprintln!("{left} left to the relay; `outbox-relay dead-letters list` shows what becomes of them");
            Ok(())
        }
        Stop::StoodStill(why) => {
            eprintln!("{} published; {left} marked, waiting: {why}", settled.published);
            Ok(())
        }
        Stop::Interrupted => Err(Failure::new(
            Refusal::Interrupted,
            format!(
                "interrupted: {} published; {left} stay marked, and the relay goes on with them",
                settled.published
            ),
            "nothing; the same command shows how far they are",
        )),
    }
}

fn interrupted(marked: &Marked, chosen: usize) -> Failure {
    Failure::new(
        Refusal::Interrupted,
        format!(
            "interrupted: {} of {chosen} are marked, which the relay publishes; the others are as they were",
            marked.chosen
        ),
        "the same command goes on with the others",
    )
}

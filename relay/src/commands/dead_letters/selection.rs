//! Which letters a decision is about, fixed before anybody is asked: what is confirmed is what is done.

use clap::Args;

use super::decision::Verb;
use super::filter::{FITS, Filter, State};
use super::letter::next_of;
use super::{Failure, Operation, Refusal};

/// Letters that one command decides about; the earliest first, so that repeating it goes on with the rest.
const LETTERS_MAX: i64 = 1_000_000;

#[derive(Debug, Args)]
pub(super) struct Chosen {
    #[command(flatten)]
    pub(super) filter: Filter,
    /// All that failed, where no letter and no filter is given
    #[arg(long)]
    all: bool,
}

/// Letters by number, in the order of their positions.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// To be decided about.
    pub(super) letters: Vec<i64>,
    /// Of a redrive: marked already, by a command before this one.
    pub(super) marked: Vec<i64>,
    /// There are more than one command decides about.
    pub(super) is_cut: bool,
}

impl Chosen {
    pub(super) fn is_nothing(&self) -> bool {
        self.filter.is_empty() && !self.all
    }

    /// Reads which letters are meant.
    pub(super) async fn select(&self, operation: &Operation<'_>, verb: Verb) -> Result<Selection, Failure> {
        if self.is_nothing() {
            return Err(Failure::new(
                Refusal::NothingSelected,
                "no letter and no filter is given",
                "name letters by number, give a filter such as --topic, or --all",
            ));
        }
        refuse_unknown(operation, &self.filter).await?;
        let selection = read(operation, &self.filter, verb).await?;
        if selection.is_cut {
            eprintln!("the first {LETTERS_MAX} letters are taken; the same command takes the rest afterwards");
        }
        Ok(selection)
    }
}

async fn refuse_unknown(operation: &Operation<'_>, filter: &Filter) -> Result<(), Failure> {
    let statement = "SELECT string_agg(wanted, ', ') FROM (
            SELECT format('dead letter %s', wanted) FROM unnest($2::int8[]) AS wanted
            WHERE NOT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = $1 AND d.letter_id = wanted)
            UNION ALL
            SELECT format('dead letter of event %s', wanted) FROM unnest($3::text[]) AS wanted
            WHERE NOT EXISTS (SELECT FROM outbox_relay.dead_letters d WHERE d.slot_name = $1 AND d.idempotency_key = wanted)
            LIMIT 10
        ) AS unknown (wanted)";
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [operation.slot(), &filter.letters, &filter.events];
    let row = operation.row(statement, &parameters).await?;
    let unknown: Option<String> = operation.read(|| row.try_get(0))?;
    match unknown {
        None => Ok(()),
        Some(unknown) => Err(Failure::new(
            Refusal::DeadLetterUnknown,
            format!("slot {} has no {unknown}", operation.slot()),
            "`outbox-relay dead-letters list` lists those that there are",
        )),
    }
}

async fn read(operation: &Operation<'_>, filter: &Filter, verb: Verb) -> Result<Selection, Failure> {
    let by_default: &[State] = match verb {
        Verb::Redrive => &[State::Failed, State::Redriving],
        Verb::Discard => &[State::Failed],
    };
    let question = filter.question(operation.slot(), (!filter.names_letters()).then_some(by_default));
    let statement = format!(
        "SELECT CASE WHEN state IN ('failed', 'parked') THEN 'open' ELSE state END,
             array_agg(letter_id ORDER BY commit_lsn, ordinal, letter_id)
         FROM (
             SELECT d.letter_id, d.commit_lsn, d.ordinal, d.state FROM outbox_relay.dead_letters d WHERE {FITS}
             ORDER BY d.commit_lsn, d.ordinal, d.letter_id LIMIT $13
         ) AS chosen GROUP BY 1"
    );
    let mut parameters = question.parameters();
    parameters.push(&LETTERS_MAX);
    let (mut selection, mut count) = (Selection::default(), 0);
    for row in operation.rows(&statement, &parameters).await? {
        let (state, letters): (&str, Vec<i64>) = operation.read(|| Ok((row.try_get(0)?, row.try_get(1)?)))?;
        count += letters.len();
        match (state, verb) {
            ("open", _) => selection.letters = letters,
            ("redriving", Verb::Redrive) => selection.marked = letters,
            _ => return Err(wrong_state(state, &letters)),
        }
    }
    selection.is_cut = i64::try_from(count).is_ok_and(|count| count >= LETTERS_MAX);
    Ok(selection)
}

fn wrong_state(state: &str, letters: &[i64]) -> Failure {
    let named: Vec<String> = letters.iter().take(10).map(i64::to_string).collect();
    let more = if letters.len() > named.len() { ", …" } else { "" };
    Failure::new(
        Refusal::WrongState,
        format!(
            "dead letter {}{more}: {state}; it would have to be failed or parked",
            named.join(", ")
        ),
        format!(
            "leave it out; {}",
            next_of(state, letters.first().copied().unwrap_or_default())
        ),
    )
}

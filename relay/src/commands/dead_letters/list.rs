//! `outbox-relay dead-letters list`.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use tokio_postgres::types::PgLsn;

use super::super::moment::stretch;
use super::super::{output, table::Table};
use super::filter::{FITS, Filter, Question, State};
use super::letter::{COLUMNS, Letter, key_shown};
use super::{Failure, Operation, unmatched};

/// Letters that are read at once.
const PAGE: i64 = 500;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// At most so many, the earliest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// As JSON, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(operation: &Operation<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { filter, limit, json } = arguments;
    // Whoever names a letter wants to see it, whatever became of it.
    let states = (!filter.names_letters()).then_some(State::UNRESOLVED.as_slice());
    let question = filter.question(operation.slot(), states);
    let limit = i64::from(*limit);
    if *json {
        return print_json(operation, &question, limit).await;
    }
    let mut letters = Pages::of(&question, limit);
    let (mut table, mut shown) = (Table::new(HEADS), 0);
    while let Some(page) = letters.next(operation).await? {
        shown += page.len();
        for letter in &page {
            table.row(cells(letter));
        }
    }
    let totals = totals(operation, &question).await?;
    let mut text = if shown > 0 { table.for_output() } else { String::new() };
    let _ = writeln!(text, "{}", sum(&totals));
    output::write(&text)?;
    if totals.is_empty() {
        unmatched::tell(operation, filter).await?;
    }
    if i64::try_from(shown).unwrap_or(i64::MAX) == limit {
        eprintln!("the first {limit} of them are listed; --limit lists more");
    }
    Ok(())
}

/// As JSON, one object a line.
pub(super) async fn print_json(operation: &Operation<'_>, question: &Question<'_>, limit: i64) -> Result<(), Failure> {
    let mut letters = Pages::of(question, limit);
    while let Some(page) = letters.next(operation).await? {
        let lines = page.iter().map(|letter| format!("{}\n", letter.as_json()));
        output::write(&lines.collect::<String>())?;
    }
    Ok(())
}

const HEADS: [&str; 8] = ["ID", "STATE", "ERROR…", "TOPIC…", "KEY…", "EVENT…", "AGE", "ATTEMPTS"];

fn cells(letter: &Letter) -> [String; 8] {
    let age = Duration::from_secs(letter.age_s.max(0).unsigned_abs());
    [
        letter.letter_id.to_string(),
        letter.state.clone(),
        letter.error.error_type.clone(),
        letter.topic.clone().unwrap_or_else(|| "(none)".to_owned()),
        key_shown(letter.key.as_deref()),
        letter.event.clone(),
        stretch(age),
        letter.attempts(),
    ]
}

/// Letters in the order of their positions, a page at a time.
struct Pages<'q> {
    question: &'q Question<'q>,
    after: Option<(PgLsn, i64, i64)>,
    left: i64,
}

impl<'q> Pages<'q> {
    const fn of(question: &'q Question<'q>, limit: i64) -> Self {
        Self {
            question,
            after: None,
            left: limit,
        }
    }

    async fn next(&mut self, operation: &Operation<'_>) -> Result<Option<Vec<Letter>>, Failure> {
        let statement = format!(
            "SELECT {COLUMNS} FROM outbox_relay.dead_letters d
             WHERE {FITS} AND ($13::pg_lsn IS NULL OR (d.commit_lsn, d.ordinal, d.letter_id) > ($13, $14, $15))
             ORDER BY d.commit_lsn, d.ordinal, d.letter_id LIMIT $16"
        );
        let (lsn, ordinal, letter_id) = self
            .after
            .map_or((None, 0, 0), |(lsn, ordinal, id)| (Some(lsn), ordinal, id));
        let size = self.left.min(PAGE);
        let mut parameters = self.question.parameters();
        parameters.extend_from_slice(&[&lsn, &ordinal, &letter_id, &size]);
        let rows = operation.rows(&statement, &parameters).await?;
        let page: Vec<Letter> = operation.read(|| rows.iter().map(Letter::of).collect())?;
        self.after = page.last().map(|last| (last.commit_lsn, last.ordinal, last.letter_id));
        self.left -= i64::try_from(page.len()).unwrap_or(self.left);
        Ok((!page.is_empty()).then_some(page))
    }
}

/// How many there are by state, of those that fit whatever their state.
async fn totals(operation: &Operation<'_>, question: &Question<'_>) -> Result<Vec<(String, i64)>, Failure> {
    let statement = format!(
        "SELECT d.state, count(*) FROM outbox_relay.dead_letters d WHERE {FITS}
         GROUP BY d.state"
    );
    let in_any_state = question.in_any_state();
    let rows = operation.rows(&statement, &in_any_state.parameters()).await?;
    operation.read(|| rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect())
}

fn sum(totals: &[(String, i64)]) -> String {
    if totals.is_empty() {
        return "no dead letters".to_owned();
    }
    let of = |state: &str| {
        totals
            .iter()
            .find(|(name, _)| name == state)
            .map_or(0, |(_, count)| *count)
    };
    let counts =
        ["failed", "parked", "redriving", "redriven", "discarded"].map(|state| format!("{state} {}", of(state)));
    counts.join(", ")
}

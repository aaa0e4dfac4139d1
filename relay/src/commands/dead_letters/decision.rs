//! What redrive and discard have in common: a choice, a reason, a confirmation, and batches.

use clap::Args;

use super::super::reason::Reason;
use super::confirm::confirm;
use super::filter::Question;
use super::list::print_json;
use super::plan::Plan;
use super::selection::{Chosen, Selection};
use super::{Failure, Operation, unmatched};

/// Letters that one call of the database's functions takes: it holds the letters' lock meanwhile.
pub(super) const BATCH: usize = 2_000;

/// What is to become of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// They are published.
    Redrive,
    /// They never are.
    Discard,
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    #[command(flatten)]
    pub(super) reason: Reason,
    /// Say what would happen, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// For machines: what was done as one object; of a dry run each letter, one object a line
    #[arg(long)]
    pub(super) json: bool,
}

impl Decision {
    /// The reason; a dry run needs none.
    pub(super) fn reason(&self) -> Result<&str, Failure> {
        if self.dry_run {
            return Ok("");
        }
        self.reason.required()
    }

    /// Which letters, once somebody has agreed to what becomes of them; `None` after a dry run.
    pub(super) async fn settle(&self, operation: &Operation<'_>, verb: Verb) -> Result<Option<Selection>, Failure> {
        let selection = self.chosen.select(operation, verb).await?;
        if selection.letters.is_empty() {
            if selection.marked.is_empty() {
                eprintln!("nothing to do: no dead letter that fits has failed");
                unmatched::tell(operation, &self.chosen.filter).await?;
            }
            return Ok((!self.dry_run).then_some(selection));
        }
        let plan = Plan::of(operation, verb, &selection.letters).await?.to_string();
        if !self.dry_run {
            confirm(&plan, self.yes)?;
            return Ok(Some(selection));
        }
        if self.json {
            eprint!("{plan}");
            let question = Question::about(operation.slot(), &selection.letters);
            print_json(operation, &question, i64::MAX).await?;
        } else {
            print!("{plan}");
        }
        eprintln!("a dry run: nothing was done");
        Ok(None)
    }
}

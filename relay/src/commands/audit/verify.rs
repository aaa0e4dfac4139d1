//! `outbox-relay audit verify`.

use std::fmt::Write;

use clap::Args;

use super::super::operation::Operation;
use super::super::output;
use super::chain::{Break, Chain};
use super::entry::Entries;
use super::head::{Head, head};
use super::{Failure, Refusal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A head that was kept elsewhere: the trail has to lead to it
    #[arg(long, value_name = "SEQ:HASH", value_parser = head)]
    head: Option<Head>,
}

/// When rows were appended.
#[derive(Debug, Default)]
struct Times {
    first: Option<String>,
    last: Option<String>,
}

pub(super) async fn verify(operation: &Operation<'_>, arguments: &Arguments) -> Result<(), Failure> {
    let kept = arguments.head.as_ref();
    let (mut chain, mut times) = (Chain::begin(), Times::default());
    let mut entries = Entries::of(operation, "true");
    while let Some(page) = entries.next(&[]).await? {
        for entry in page {
            chain.follow(&entry, kept).map_err(|found| broken(&chain, &found))?;
            times.first.get_or_insert_with(|| entry.at.clone());
            times.last = Some(entry.at);
        }
    }
    chain.end(kept).map_err(|found| broken(&chain, &found))?;
    output::write(&whole(&chain, &times, kept))
}

fn broken(chain: &Chain, found: &Break) -> Failure {
    let before = match chain.rows() {
        0 => "no row before it is known to be right".to_owned(),
        rows => format!(
            "rows 1 to {rows} are as they were appended, up to head {}",
            chain.head()
        ),
    };
    Failure::new(
        Refusal::AuditTrailBroken,
        format!("the audit trail is broken: {found}; {before}"),
        "compare it with an export or a backup; only an owner of the table or a superuser can have changed it",
    )
}

fn whole(chain: &Chain, times: &Times, kept: Option<&Head>) -> String {
    let rows = chain.rows();
    let (Some(first), Some(last)) = (&times.first, &times.last) else {
        return "the audit trail is empty\n".to_owned();
    };
    let mut text = "the audit trail is whole\n".to_owned();
    let _ = match chain.emptied {
        0 => writeln!(text, "rows:   {rows}"),
        emptied => writeln!(
            text,
            "rows:   {rows}, of which {emptied} were emptied after their retention"
        ),
    };
    let _ = writeln!(text, "first:  1 at {first}");
    let _ = writeln!(text, "last:   {rows} at {last}");
    let _ = writeln!(text, "head:   {}", chain.head());
    text.push_str(match kept {
        Some(_) => "it leads to the head that was given\n",
        None => "that nothing was cut off its end shows only with --head, one that was kept elsewhere\n",
    });
    text
}

//! Why something is done: whoever looks into the audit trail later has nobody to ask.

use clap::Args;

use super::{Failure, Refusal};

#[derive(Debug, Args)]
pub(super) struct Reason {
    /// Why; goes to the audit trail
    #[arg(long, value_name = "TEXT", value_parser = short_enough)]
    reason: Option<String>,
}

const CHARACTERS_MAX: usize = 2_000;

fn short_enough(text: &str) -> Result<String, String> {
    if text.chars().count() > CHARACTERS_MAX {
        return Err(format!("longer than {CHARACTERS_MAX} characters"));
    }
    Ok(text.to_owned())
}

impl Reason {
    /// The reason, without which nothing is done.
    pub(super) fn required(&self) -> Result<&str, Failure> {
        let given = self.reason.as_deref().map(str::trim).filter(|text| !text.is_empty());
        given.ok_or_else(|| missing("no reason is given"))
    }
}

/// The refusal, whoever noticed.
pub(super) fn missing(what: &str) -> Failure {
    Failure::new(
        Refusal::ReasonMissing,
        what,
        "say why with --reason TEXT; it goes to the audit trail",
    )
}

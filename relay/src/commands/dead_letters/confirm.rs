//! The question before something is done.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{Failure, Refusal};

/// Shows what will happen and asks whether it shall. Without a terminal nobody can answer.
pub(super) fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    eprint!("{what}");
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Refusal::NotConfirmed,
            "nothing was done: there is no terminal to ask at",
            "the same command with --yes",
        ));
    }
    eprint!("Go on? [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(
        Refusal::NotConfirmed,
        "nothing was done",
        "the same command, and y",
    ))
}

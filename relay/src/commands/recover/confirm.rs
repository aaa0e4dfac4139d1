//! Nothing is changed before somebody has said yes.

use std::io::{IsTerminal, stdin};

use super::super::{Failure, Refusal};

/// Goes on when it was said on the command line, or is said now.
pub(super) async fn confirm(is_said: bool) -> Result<(), Failure> {
    if is_said || stdin().is_terminal() && asked().await {
        return Ok(());
    }
    Err(Failure::new(
        Refusal::RecoveryNotConfirmed,
        "nothing was done",
        "the same with --yes, if that is meant",
    ))
}

/// On a thread of its own, so that an interruption is heard.
async fn asked() -> bool {
    eprint!("Type yes to do this: ");
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        stdin().read_line(&mut answer).map(|_| answer)
    });
    matches!(answer.await, Ok(Ok(answer)) if answer.trim() == "yes")
}

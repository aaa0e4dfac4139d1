//! Waiting for a state by asking for it, never by sleeping for it.

use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// How long anything may take on a busy machine. Only a hang is longer: nothing here measures speed.
pub const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer. `Err` of the question says what was seen instead, for the message at the end.
#[track_caller]
pub fn wait_for<T>(what: &str, mut question: impl FnMut() -> Result<T, String>) -> Outcome<T> {
    let begin = Instant::now();
    loop {
        match question() {
            Ok(answer) => return Ok(answer),
            Err(seen) if begin.elapsed() > PATIENCE => {
                let waited = begin.elapsed().as_secs();
                return Err(Failure::new(format!("waited {waited} s for {what}; at last: {seen}")));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

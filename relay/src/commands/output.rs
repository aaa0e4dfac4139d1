//! What commands write to standard output, where it may be long: whoever reads may have seen enough before its end.

use std::io::{self, ErrorKind, Write};

use super::{Failure, Refusal, leave};

/// Writes it, or ends when nobody reads any more.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => leave(0),
        Err(error) => Err(Failure::new(
            Refusal::SystemRefused,
            format!("standard output: {error}"),
            "what was written is not complete; make room, and run the command again",
        )),
    }
}

/// Line breaks would break a table, other control characters the terminal.
pub(super) fn on_one_line(text: &str) -> String {
    escape(text, char::is_control)
}

/// Text of somebody else, on lines of its own.
pub(super) fn on_lines(text: &str) -> String {
    escape(text, |c| c.is_control() && c != '\n' && c != '\t')
}

fn escape(text: &str, must_be: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if must_be(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

//! How far it has come, on standard error: a line that changes on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const ON_A_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Counts towards a total.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    what: &'static str,
    is_terminal: bool,
    shown: Instant,
    is_line_open: bool,
}

impl Progress {
    /// `what` says what is counted, such as "published".
    pub(super) fn of(total: usize, what: &'static str) -> Self {
        Self {
            total,
            what,
            is_terminal: io::stderr().is_terminal(),
            shown: Instant::now(),
            is_line_open: false,
        }
    }

    /// Shows it, unless that was done just now.
    pub(super) fn show(&mut self, count: impl std::fmt::Display) {
        let pause = if self.is_terminal { ON_A_TERMINAL } else { ELSEWHERE };
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let Self { total, what, .. } = self;
        if self.is_terminal {
            eprint!("\r{count} of {total} {what}");
            let _ = io::stderr().flush();
            self.is_line_open = true;
        } else {
            eprintln!("{count} of {total} {what}");
        }
    }

    /// Nothing more is counted.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.is_line_open) {
            eprintln!();
        }
    }

    /// Ended before its end, after so many.
    pub(super) fn leave(&mut self, count: i64) {
        self.end();
        if count > 0 {
            eprintln!("{count} were {} before it", self.what);
        }
    }
}

//! Says what goes on: a bar for people, lines for logs. It goes to stderr; stdout is for the results.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str = "{prefix} {wide_bar} {pos}/{len} ({per_sec}, {eta})";

/// Says in one line what begins now.
pub(crate) fn step(text: &str) {
    eprintln!("bench: {text}");
}

/// Something that takes long enough to be watched.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    begin: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(what: &str, all: u32) -> Progress {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(u64::from(all))
                .with_style(style)
                .with_prefix(what.to_owned())
        });
        if bar.is_none() {
            step(&format!("{what}: {all}"));
        }
        Progress {
            what: what.to_owned(),
            begin: Instant::now(),
            bar,
        }
    }

    pub(crate) fn set(&self, done: u32) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(done));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        step(&format!("{}: {:.1} s", self.what, self.begin.elapsed().as_secs_f64()));
    }
}

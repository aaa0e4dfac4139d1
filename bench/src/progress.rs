//! Says what goes on: a bar for people, lines for logs. It goes to stderr; stdout is for the results.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str = "{prefix} {wide_bar} {pos}/{len} ({per_sec}, {eta})";

/// Says in one line what begins now.
pub(crate) fn step(text: &str) {
    eprintln!("bench: {text}");
}

/// A bar on a terminal; nothing elsewhere. It goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(crate) fn new(what: &str, all: u32) -> Bar {
        Bar(stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(u64::from(all))
                .with_style(style)
                .with_prefix(what.to_owned())
        }))
    }

    pub(crate) fn set(&self, done: u32) {
        if let Some(bar) = &self.0 {
            bar.set_position(u64::from(done));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Something that takes long enough to be watched, and whose duration is said at the end.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    begin: Instant,
    bar: Bar,
}

impl Progress {
    pub(crate) fn new(what: &str, all: u32) -> Progress {
        let bar = Bar::new(what, all);
        if bar.0.is_none() {
            step(&format!("{what}: {all}"));
        }
        Progress {
            what: what.to_owned(),
            begin: Instant::now(),
            bar,
        }
    }

    pub(crate) fn set(&self, done: u32) {
        self.bar.set(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar.0 {
            bar.finish_and_clear();
        }
        step(&format!("{}: {:.1} s", self.what, self.begin.elapsed().as_secs_f64()));
    }
}

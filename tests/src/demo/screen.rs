//! What the demo prints: plain lines from top to bottom, on a terminal in colour.

use std::env;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use super::reader::Arrival;
use super::shop::{Event, Step};
use super::tally::Figures;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
/// Where a line goes on below its time.
const INDENT: &str = "          ";

/// The terminal, or whatever standard output is.
#[derive(Debug)]
pub(super) struct Screen {
    colour: bool,
    began: Instant,
    closed: bool,
}

impl Screen {
    pub(super) fn new() -> Screen {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen {
            colour: wanted && stdout().is_terminal(),
            began: Instant::now(),
            closed: false,
        }
    }

    /// Whether nobody reads any more (`make demo | head`).
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn line(&mut self, text: impl Display) {
        self.closed |= writeln!(stdout(), "{text}").is_err();
    }

    pub(super) fn title(&mut self, text: &str) {
        let text = self.paint(BOLD, text);
        self.line(format_args!("\n{text}"));
    }

    /// A step of the start or the end, with the time it took.
    pub(super) fn done(&mut self, what: &str, outcome: &str, since: Instant) {
        let took = self.paint(DIM, &format!("{:.1} s", since.elapsed().as_secs_f64()));
        self.line(format_args!("  {what:<26}{outcome}  {took}"));
    }

    /// The time starts anew: the first row is about to be written.
    pub(super) fn restart_clock(&mut self) {
        self.began = Instant::now();
    }

    /// The rows of one transaction.
    pub(super) fn step(&mut self, step: &Step, at: Instant) {
        self.line("");
        for event in &step.events {
            let time = self.time(at);
            let what = subject(event.aggregate_type, &event.aggregate_id, event.event_type);
            let line = match step.refused {
                None => format!("{}  {what}  {}", self.paint(CYAN, "insert"), event.summary),
                Some(reason) => self.paint(YELLOW, &undone(event, reason)),
            };
            self.line(format_args!("{time}  {line}"));
        }
    }

    /// A record. Without a latency it is a row that somebody else inserted.
    pub(super) fn arrival(&mut self, arrival: &Arrival, latency: Option<Duration>) {
        if latency.is_none() {
            self.line("");
        }
        let time = self.time(arrival.at);
        let word = self.paint(GREEN, "record");
        let header = |name| arrival.header(name);
        let what = subject(header("aggregate_type"), &arrival.key, header("event_type"));
        let place = format!("{}/{}@{}", arrival.topic, arrival.partition, arrival.offset);
        let end = latency.map_or_else(|| self.paint(BOLD, "yours"), milliseconds);
        self.line(format_args!("{time}  {word}  {what}  {place:<32}{end:>7}"));
        let headers = format!("id {}  position {}", header("id"), header("position"));
        let headers = self.paint(DIM, &headers);
        self.line(format_args!("{INDENT}{headers}"));
    }

    /// The totals so far.
    pub(super) fn totals(&mut self, figures: &Figures, phase: Option<&str>, resident_bytes: Option<u64>) {
        let Figures {
            inserted,
            arrived,
            rolled_back,
            ..
        } = figures;
        let memory = resident_bytes.map_or_else(String::new, |bytes| format!(", {} MiB", bytes >> 20));
        let phase = phase.unwrap_or("no answer");
        let latency = latencies(figures);
        let text = format!(
            "-- inserted {inserted}, arrived {arrived}, rolled back {rolled_back} | {latency} | relay {phase}{memory}"
        );
        let text = self.paint(BOLD, &text);
        self.line(format_args!("\n{INDENT}{text}"));
    }

    /// Something the relay warns of.
    pub(super) fn warning(&mut self, text: &str) {
        let text = self.paint(RED, text);
        self.line(format_args!("\n{INDENT}{text}"));
    }

    /// The last line.
    pub(super) fn summary(&mut self, figures: &Figures) {
        let text = self.paint(if figures.is_good() { GREEN } else { RED }, &figures.to_string());
        let Figures {
            rolled_back, phantoms, ..
        } = figures;
        self.line(format_args!(
            "\n{text} ({rolled_back} rolled back, {phantoms} of them arrived; {})",
            latencies(figures)
        ));
    }

    fn time(&self, at: Instant) -> String {
        let seconds = at.saturating_duration_since(self.began).as_secs_f64();
        self.paint(DIM, &format!("{seconds:>6.1} s"))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn subject(aggregate_type: &str, key: &str, event_type: &str) -> String {
    format!("{aggregate_type:<8}  {key:<12}  {event_type:<18}")
}

fn undone(event: &Event, reason: &str) -> String {
    let what = subject(event.aggregate_type, &event.aggregate_id, event.event_type);
    format!("undone  {what}  {reason}, ROLLBACK: there will be no record")
}

fn latencies(figures: &Figures) -> String {
    let text = |latency: Option<Duration>| latency.map_or_else(|| "-".to_owned(), milliseconds);
    format!("p50 {}, p99 {}", text(figures.p50), text(figures.p99))
}

fn milliseconds(latency: Duration) -> String {
    let milliseconds = latency.as_secs_f64() * 1000.0;
    let digits = usize::from(milliseconds < 10.0);
    format!("{milliseconds:.digits$} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_latencies_have_a_decimal() {
        assert_eq!(milliseconds(Duration::from_micros(4230)), "4.2 ms");
        assert_eq!(milliseconds(Duration::from_micros(12_600)), "13 ms");
    }
}

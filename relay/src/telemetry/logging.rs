//! Log lines on stderr: stdout belongs to the data that commands print.
//!
//! A thread of its own writes them. Whoever should read them may be slow or stand still; events do not wait for that,
//! lines are dropped and counted.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, LogSettings};

/// Lines that wait to be written: a burst of warnings, and far less memory than the events have.
const WAITING_LINES_MAX: usize = 1_024;

static WRITER: OnceLock<Writer> = OnceLock::new();

#[derive(Debug)]
struct Writer {
    dropped: ErrorCounter,
    /// Taken to end it.
    guard: Mutex<Option<WorkerGuard>>,
}

/// Starts logging for the whole process. A second call changes nothing.
///
/// # Errors
/// The filter cannot be read.
pub fn start(settings: &LogSettings) -> Result<(), ParseError> {
    let filter: EnvFilter = settings.filter.parse()?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let waiting = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES_MAX);
    let (lines, guard) = waiting.thread_name("log").finish(std::io::stderr());
    let writer = Writer {
        dropped: lines.error_counter(),
        guard: Mutex::new(Some(guard)),
    };
    if WRITER.set(writer).is_err() {
        return Ok(());
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Told on stderr, that stderr takes nothing would be a panic.
        .log_internal_errors(false)
        .with_writer(lines);
    // Fails only when somebody else logs for this process.
    let _ = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(colours).with_target(false).try_init(),
    };
    Ok(())
}

/// Writes what waits to be written, and gives up after a second when nobody reads it. Nothing is logged afterwards.
pub fn finish() {
    let guard = WRITER.get().map(|writer| &writer.guard);
    drop(guard.and_then(|guard| guard.lock().unwrap_or_else(PoisonError::into_inner).take()));
}

/// Lines that nobody has taken in time, since the start.
pub(super) fn lines_dropped() -> u64 {
    let dropped = WRITER.get().map_or(0, |writer| writer.dropped.dropped_lines());
    dropped.try_into().unwrap_or(u64::MAX)
}

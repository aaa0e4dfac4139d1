//! Continuous load: several writers at an offered rate, until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::history::History;
use crate::wait::wait_for;
use crate::writer::{Writer, WriterOptions};

/// Each of this many transactions is rolled back.
const ROLL_BACK_EVERY: u32 = 10;
/// More failures than this, one after the other, do not come from a server that restarts.
const FAILURES_MAX: u32 = 20;

/// How much each writer offers.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Rows of one transaction.
    pub rows: usize,
    /// Transactions a second.
    pub transactions: u32,
}

/// Writers at work. Dropped, they stop.
pub struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Outcome<History>>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    committed: AtomicUsize,
}

impl Load {
    /// Starts one thread for each writer.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn start(writers: Vec<WriterOptions>, rate: Rate) -> Outcome<Load> {
        let shared = Arc::<Shared>::default();
        let mut load = Load {
            shared: Arc::clone(&shared),
            writers: Vec::new(),
        };
        for options in writers {
            let (writer, shared) = (Writer::connect(options)?, Arc::clone(&shared));
            load.writers.push(thread::spawn(move || write(writer, rate, &shared)));
        }
        Ok(load)
    }

    /// Rows committed so far.
    pub fn committed(&self) -> usize {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Waits until this many more rows are committed.
    ///
    /// # Errors
    /// The writers stand still or have failed.
    #[track_caller]
    pub fn wait_for_more(&self, rows: usize) -> Outcome {
        let wanted = self.committed() + rows;
        wait_for("more rows to be committed", || {
            let committed = self.committed();
            if committed >= wanted {
                Ok(())
            } else {
                Err(format!("{committed} of {wanted}"))
            }
        })
    }

    /// Stops the writers and returns what they did.
    ///
    /// # Errors
    /// The first failure of a writer.
    #[track_caller]
    pub fn stop(mut self) -> Outcome<History> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut history = History::default();
        for writer in self.writers.drain(..) {
            let done = writer.join().map_err(|_| Failure::new("a writer panicked"))?;
            history.merge(done?);
        }
        Ok(history)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            let _ = writer.join();
        }
    }
}

fn write(mut writer: Writer, rate: Rate, shared: &Shared) -> Outcome<History> {
    let pause = Duration::from_secs(1) / rate.transactions.max(1);
    let mut due = Instant::now();
    let (mut nth, mut failures) = (0_u32, 0);
    while !shared.stopping.load(Ordering::Relaxed) {
        // An offered rate: what was held up is not made up for, and nothing depends on how long this sleeps.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due = Instant::now().max(due) + pause;
        nth += 1;
        let is_kept = !nth.is_multiple_of(ROLL_BACK_EVERY);
        match transaction(&mut writer, rate.rows, is_kept) {
            Ok(()) => failures = 0,
            Err(failure) if failures == FAILURES_MAX => return Err(failure),
            Err(_) => {
                failures += 1;
                writer.recover()?;
            }
        }
        if is_kept && failures == 0 {
            shared.committed.fetch_add(rate.rows, Ordering::Relaxed);
        }
    }
    Ok(writer.into_history())
}

fn transaction(writer: &mut Writer, rows: usize, is_kept: bool) -> Outcome {
    writer.begin()?;
    writer.insert(rows)?;
    if is_kept { writer.commit() } else { writer.roll_back() }
}

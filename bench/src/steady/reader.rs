//! The consumer at the other end: it notes when it has each record, in a thread that does nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;

use crate::backlog;
use crate::failure::Failure;
use crate::topic::Topic;

/// How soon the thread sees that it has to end when nothing comes.
const LOOK_UP: Duration = Duration::from_millis(100);

/// A record that has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The row's number; `None` for a record that is not from a row of this program.
    pub(super) row: Option<u32>,
    pub(super) at: Instant,
}

/// Reads in the background. Dropped, it stops.
#[derive(Debug)]
pub(super) struct Reader {
    thread: Option<JoinHandle<Result<Vec<Seen>, Failure>>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: AtomicU32,
    stop: AtomicBool,
}

impl Reader {
    /// Reads what comes into the topic from now on.
    pub(super) fn start(topic: &Topic) -> Result<Reader, Failure> {
        let consumer = topic.follow()?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        Ok(Reader {
            thread: Some(thread::spawn(move || read(&consumer, &of_thread))),
            shared,
        })
    }

    /// Records so far.
    pub(super) fn seen(&self) -> u32 {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// Whether it gave up; [`Reader::finish`] says why.
    pub(super) fn has_failed(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the reading.
    pub(super) fn finish(&mut self) -> Result<Vec<Seen>, Failure> {
        self.shared.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| Failure::Panicked("reader"))?,
            None => Ok(Vec::new()),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Whoever drops it has an error already.
        let _ = self.finish();
    }
}

fn read(consumer: &BaseConsumer, shared: &Shared) -> Result<Vec<Seen>, Failure> {
    let mut all = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(record) = consumer.poll(LOOK_UP).transpose()? else {
            continue;
        };
        let at = Instant::now();
        let row = record.payload().and_then(backlog::row_number);
        all.push(Seen { row, at });
        shared.seen.fetch_add(1, Ordering::Relaxed);
    }
    Ok(all)
}

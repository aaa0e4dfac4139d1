//! The open-loop writer: several connections that share one list of intended times.
//!
//! Each connection has a thread that takes the next transaction from the list, waits for its time and writes it. One
//! that is busy delays nobody, until all of them are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use outbox_relay_tests::stack::PostgresFacts;
use tokio_postgres::Statement;

use super::load::Load;
use crate::backlog::{Keys, Payload};
use crate::database::Database;
use crate::failure::Failure;
use crate::installation::DATABASE;
use crate::interrupt::Interrupt;

/// The first transaction is meant for then; until then all threads are there.
const START_IN: Duration = Duration::from_millis(100);
/// How long after the window a transaction that is late may still begin.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// How soon a thread that waits sees that it has to end.
const LOOK_UP: Duration = Duration::from_millis(100);

/// A transaction that is committed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) transaction: u32,
    /// Just before the statement went out.
    pub(super) at: Instant,
    /// The commit had returned.
    pub(super) committed_at: Instant,
}

/// Writes in the background. Dropped, it stops.
#[derive(Debug)]
pub(super) struct Writer {
    threads: Vec<JoinHandle<Result<Vec<Sent>, Failure>>>,
    shared: Arc<Shared>,
    origin: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    next: AtomicU32,
    committed: AtomicU32,
    stop: AtomicBool,
}

/// One connection.
struct Session {
    database: Database,
    insert: Statement,
}

impl Writer {
    /// Connects, and begins a moment later.
    pub(super) fn start(facts: &PostgresFacts, load: Load, interrupt: &Interrupt) -> Result<Writer, Failure> {
        let sessions: Vec<Session> = (0..load.connections)
            .map(|_| Session::open(facts, load, interrupt))
            .collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared::default());
        let origin = Instant::now() + START_IN;
        let spawn = |session: Session| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let written = session.write(&shared, origin, load);
                if written.is_err() {
                    shared.stop.store(true, Ordering::Relaxed);
                }
                written
            })
        };
        Ok(Writer {
            threads: sessions.into_iter().map(spawn).collect(),
            shared,
            origin,
        })
    }

    /// When the first transaction is meant to be sent.
    pub(super) fn origin(&self) -> Instant {
        self.origin
    }

    /// Transactions that are committed by now.
    pub(super) fn committed(&self) -> u32 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Whether a connection gave up; [`Writer::finish`] says why.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, or too late to be begun.
    pub(super) fn finish(&mut self) -> Result<Vec<Sent>, Failure> {
        let mut sent = Vec::new();
        for thread in self.threads.drain(..) {
            sent.extend(thread.join().map_err(|_| Failure::Panicked("writer"))??);
        }
        Ok(sent)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Whoever drops it has an error already.
        let _ = self.finish();
    }
}

impl Session {
    fn open(facts: &PostgresFacts, load: Load, interrupt: &Interrupt) -> Result<Session, Failure> {
        let database = Database::connect(facts, DATABASE, interrupt)?;
        let synchronous = if load.synchronous_commit { "on" } else { "off" };
        database.execute("take a setting", &format!("SET synchronous_commit = {synchronous}"))?;
        let sql = Payload::of_row(load.row_bytes).rows(Keys::Distinct, "$1::int4", "$2::int4");
        let insert = database.prepare("prepare the insert", &sql)?;
        Ok(Session { database, insert })
    }

    fn write(&self, shared: &Shared, origin: Instant, load: Load) -> Result<Vec<Sent>, Failure> {
        let too_late = origin + load.warm_up() + load.window() + GRACE;
        let mut written = Vec::new();
        loop {
            let transaction = shared.next.fetch_add(1, Ordering::Relaxed);
            let is_time = wait_until(origin + load.intended(transaction), &shared.stop);
            let at = Instant::now();
            if !is_time || transaction >= load.transactions() || at > too_late {
                return Ok(written);
            }
            let (first, last) = load.rows_of(transaction);
            self.database
                .insert(&self.insert, first.cast_signed(), last.cast_signed())?;
            written.push(Sent {
                transaction,
                at,
                committed_at: Instant::now(),
            });
            shared.committed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// False when it has to stop instead.
fn wait_until(time: Instant, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let wait = time.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return true;
        }
        thread::sleep(wait.min(LOOK_UP));
    }
}

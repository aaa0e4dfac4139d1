//! Waits for what the relay makes of marked letters.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::Row;

use super::super::interrupt::Interrupt;
use super::progress::Progress;
use super::{Failure, Operation, Refusal};

/// Letters that are asked about at once: the relay publishes in order, so those behind them are later.
const WINDOW: usize = 500;
const PAUSE: Duration = Duration::from_millis(200);
/// A relay that restarts is back by then.
const PATIENCE: Duration = Duration::from_secs(10);
const NAMED: usize = 5;

/// Letters that are marked, and what has become of them so far.
pub(super) struct Settling<'o, 's> {
    operation: &'o Operation<'s>,
    pending: VecDeque<i64>,
    pub(super) settled: Settled,
}

/// What became of letters.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) published: usize,
    pub(super) failed: usize,
    /// They wait behind one that failed again.
    pub(super) parked: usize,
    /// Some of those that failed, with the reason.
    named: Vec<String>,
}

/// Why nobody waits any more.
#[derive(Debug)]
pub(super) enum Stop {
    /// All are settled.
    Done,
    /// Nobody publishes them now.
    StoodStill(String),
    /// Somebody has had enough.
    Interrupted,
    /// Nobody wanted to.
    NotAwaited,
}

impl<'o, 's> Settling<'o, 's> {
    pub(super) fn of(operation: &'o Operation<'s>, marked: impl Iterator<Item = i64>) -> Self {
        let mut seen = HashSet::new();
        Self {
            operation,
            pending: marked.filter(|letter| seen.insert(*letter)).collect(),
            settled: Settled::default(),
        }
    }

    pub(super) fn left(&self) -> usize {
        self.pending.len()
    }

    /// Waits as long as somebody works on them.
    pub(super) async fn wait(&mut self, interrupt: &mut Interrupt) -> Result<Stop, Failure> {
        let mut progress = Progress::of(self.left(), "published");
        let stop = self.wait_showing(interrupt, &mut progress).await;
        progress.end();
        stop
    }

    async fn wait_showing(&mut self, interrupt: &mut Interrupt, progress: &mut Progress) -> Result<Stop, Failure> {
        let mut moved = None::<Instant>;
        loop {
            let window = self.left().min(WINDOW);
            let settled = self.look().await?;
            progress.show(self.settled.published);
            if self.pending.is_empty() {
                return Ok(Stop::Done);
            }
            if settled == window {
                moved = Some(Instant::now());
                continue;
            }
            if settled > 0 {
                moved = Some(Instant::now());
            } else if moved.is_none_or(|moved| moved.elapsed() > PATIENCE) {
                if let Some(why) = self.hindrance().await? {
                    return Ok(Stop::StoodStill(why));
                }
                moved = Some(Instant::now());
            }
            tokio::select! {
                () = interrupt.came() => return Ok(Stop::Interrupted),
                () = sleep(PAUSE) => {}
            }
        }
    }

    /// Asks about all of them once.
    pub(super) async fn look_at_all(&mut self) -> Result<(), Failure> {
        let mut left = VecDeque::new();
        while !self.pending.is_empty() {
            let rest = self.pending.split_off(self.left().min(WINDOW));
            self.look().await?;
            left.append(&mut self.pending);
            self.pending = rest;
        }
        self.pending = left;
        Ok(())
    }

    fn window(&self) -> Vec<i64> {
        self.pending.iter().take(WINDOW).copied().collect()
    }

    /// Asks about the first of them. Returns how many are settled by now.
    async fn look(&mut self) -> Result<usize, Failure> {
        // One that is gone had been published before it was removed.
        let statement = "SELECT w.letter_id, coalesce(d.state, 'redriven'), d.error_type, d.error_message
             FROM unnest($1::int8[]) AS w (letter_id) LEFT JOIN outbox_relay.dead_letters d USING (letter_id)
             WHERE d.state IS DISTINCT FROM 'redriving'";
        let rows = self.operation.rows(statement, &[&self.window()]).await?;
        let noted = &mut self.settled;
        let settled: HashSet<i64> = self
            .operation
            .read(|| rows.iter().map(|row| noted.note(row)).collect())?;
        let looked_at: Vec<i64> = self.pending.drain(..self.left().min(WINDOW)).collect();
        for letter in looked_at.into_iter().rev().filter(|letter| !settled.contains(letter)) {
            self.pending.push_front(letter);
        }
        Ok(settled.len())
    }

    /// Why nobody publishes them, if that is so.
    async fn hindrance(&self) -> Result<Option<String>, Failure> {
        let slot = self.operation.slot();
        let statement = "SELECT coalesce((SELECT active FROM pg_replication_slots WHERE slot_name = $1), false),
                EXISTS (SELECT FROM outbox_relay.pauses WHERE slot_name = $1 AND outbox = ''),
                NOT EXISTS (
                    SELECT FROM outbox_relay.dead_letters d WHERE d.letter_id = ANY ($2) AND NOT EXISTS (
                        SELECT FROM outbox_relay.pauses p WHERE p.slot_name = $1 AND p.outbox = d.outbox))";
        let row = self.operation.row(statement, &[slot, &self.window()]).await?;
        let (streams, relay_paused, outbox_paused): (bool, bool, bool) =
            (self.operation).read(|| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))?;
        Ok(if !streams {
            Some(format!(
                "no relay streams from slot {slot}; it publishes them when it runs, and `outbox-relay dead-letters redrive \
                 --execute` does so without one"
            ))
        } else if relay_paused {
            Some("the relay is paused; it publishes them after `outbox-relay resume`".to_owned())
        } else {
            outbox_paused.then(|| {
                "their outbox is paused; the relay publishes them after `outbox-relay resume --outbox NAME`".to_owned()
            })
        })
    }
}

impl Settled {
    fn note(&mut self, row: &Row) -> Result<i64, tokio_postgres::Error> {
        let (letter, state): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
        match state {
            "redriven" => self.published += 1,
            "failed" => {
                self.failed += 1;
                let (error_type, message): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
                if self.named.len() < NAMED {
                    self.named.push(format!("letter {letter}: {error_type}: {message}"));
                }
            }
            // Or discarded by somebody else, once it had failed again.
            _ => self.parked += 1,
        }
        Ok(letter)
    }

    pub(super) fn failed_again(&self) -> Failure {
        let Self {
            published,
            failed,
            parked,
            named,
        } = self;
        let more = if *failed > named.len() { "\n  …" } else { "" };
        Failure::new(
            Refusal::RedriveFailedAgain,
            format!(
                "{published} published; {failed} failed again, and {parked} wait behind them\n  {}{more}",
                named.join("\n  ")
            ),
            "`outbox-relay dead-letters show LETTER` says why; mend it and redrive, or discard",
        )
    }
}

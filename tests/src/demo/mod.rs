//! `make demo`: rows go into a real `PostgreSQL`, the real relay moves them, records come out of a real Kafka.

mod error;
mod finish;
mod reader;
mod relay;
mod screen;
mod shop;
mod signals;
mod start;
mod tally;
mod tether;
mod warnings;
mod writer;

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until};

pub use error::DemoError;
pub use tether::become_tethered;

use screen::Screen;
use shop::Shop;
use signals::Signals;
use start::Running;
use tally::Tally;

/// Slow enough to read along.
const BETWEEN_TRANSACTIONS: Duration = Duration::from_millis(1200);
const BETWEEN_TOTALS: Duration = Duration::from_secs(6);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// What a demo without an end of its own stays below.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Runs the demo until a signal, or for a time. `false` when something did not arrive, or the relay did not end well.
///
/// It must be called on the main thread: the relay is tied to it.
///
/// # Errors
///
/// What could not be started, or went away.
pub fn run(limit: Option<Duration>) -> Result<bool, DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(DemoError::file("make", "a runtime".as_ref()))?;
    runtime.block_on(async {
        let signals = Signals::watch().map_err(DemoError::file("watch", "signals".as_ref()))?;
        let mut demo = Demo {
            signals,
            screen: Screen::new(),
            tally: Tally::default(),
        };
        let mut running = demo.start().await?;
        let shown = demo.show(&mut running, limit).await;
        // Also after a failure: what was started is stopped in order.
        let ended = demo.finish(running).await;
        shown?;
        ended
    })
}

/// What the demo is made of beside the processes.
struct Demo {
    signals: Signals,
    screen: Screen,
    tally: Tally,
}

impl Demo {
    /// Rows in, records out, until the end.
    async fn show(&mut self, running: &mut Running, limit: Option<Duration>) -> Result<(), DemoError> {
        self.screen.restart_clock();
        let mut shop = Shop::new(Rng::new());
        let mut transactions = interval(BETWEEN_TRANSACTIONS);
        let mut totals = interval_at(Instant::now() + BETWEEN_TOTALS, BETWEEN_TOTALS);
        let mut looks = interval(BETWEEN_LOOKS);
        for ticks in [&mut transactions, &mut totals, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let end = sleep_until(Instant::now() + limit.unwrap_or(FOREVER));
        tokio::pin!(end);
        while !self.screen.is_closed() {
            tokio::select! {
                biased;
                () = self.signals.reached(1) => break,
                () = &mut end => break,
                Some(arrival) = running.reader.arrivals.recv() => self.arrived(&arrival),
                _ = totals.tick() => self.totals(running),
                _ = looks.tick() => self.look_after(running)?,
                _ = transactions.tick() => self.transact(running, &mut shop).await?,
            }
        }
        Ok(())
    }

    async fn transact(&mut self, running: &mut Running, shop: &mut Shop) -> Result<(), DemoError> {
        let step = shop.next_step();
        let at = running.writer.write(&step).await?;
        for event in &step.events {
            if step.refused.is_some() {
                self.tally.rolled_back(&event.id);
            } else {
                self.tally.committed(&event.id, at);
            }
        }
        self.screen.step(&step, at);
        Ok(())
    }

    fn arrived(&mut self, arrival: &reader::Arrival) {
        let latency = self.tally.arrived(arrival.header("id"), arrival.at);
        self.screen.arrival(arrival, latency);
    }

    fn totals(&mut self, running: &Running) {
        let phase = running.relay.phase();
        let resident = running.relay.resident_bytes();
        self.screen.totals(&self.tally.figures(), phase.as_deref(), resident);
    }

    fn look_after(&mut self, running: &mut Running) -> Result<(), DemoError> {
        self.warn(running);
        match running.relay.ended() {
            None => Ok(()),
            Some(status) => Err(running.files.failed("run", status)),
        }
    }

    fn warn(&mut self, running: &mut Running) {
        for warning in running.warnings.new_lines() {
            self.screen.warning(&warning);
        }
    }
}

//! Stops everything in order, waits for what is under way, and draws the balance.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::start::Running;
use super::writer::committed_ids;
use super::{Demo, DemoError};

/// How long the last records may take.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(15);
/// More than the relay's own limit, `pipeline.drain_timeout_ms`.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(20);

impl Demo {
    /// `true` when everything arrived and everything ended well.
    pub(super) async fn finish(&mut self, mut running: Running) -> Result<bool, DemoError> {
        self.screen.title("Stopping");
        let asked = committed_ids(running.stack.postgres.facts()).await;
        // The database may be what failed; the rest is stopped nevertheless.
        let ids = asked.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
        self.tally.reconcile(ids);
        self.await_last(&mut running).await;
        let drained = self.drain(&mut running).await;
        running.reader.stop();
        while let Some(arrival) = running.reader.arrivals.recv().await {
            self.arrived(&arrival);
        }
        if !drained {
            let words = running.files.last_words();
            self.screen.line(format_args!("  the end of the relay's log:\n{words}"));
        }
        let gone = self.stop_servers(running);
        let figures = self.tally.figures();
        self.screen.summary(&figures);
        asked?;
        Ok(figures.is_good() && drained && gone)
    }

    /// Waits until every committed row arrived, the relay is gone, or it takes too long.
    async fn await_last(&mut self, running: &mut Running) {
        let begin = Instant::now();
        while self.tally.figures().missing > 0 && begin.elapsed() < ARRIVAL_LIMIT && running.relay.ended().is_none() {
            tokio::select! {
                Some(arrival) = running.reader.arrivals.recv() => self.arrived(&arrival),
                () = tokio::time::sleep(ASK_AGAIN) => self.warn(running),
                () = self.signals.reached(2) => break,
            }
        }
        let outcome = match self.tally.figures().missing {
            0 => "writes no more, every row has arrived".to_owned(),
            missing => format!("writes no more; not arrived: {missing}"),
        };
        self.screen.done("shop", &outcome, begin);
    }

    /// Whether the relay ended saying that all it had taken is published and confirmed.
    async fn drain(&mut self, running: &mut Running) -> bool {
        let begin = Instant::now();
        running.relay.ask_to_drain();
        let status = loop {
            if let Some(status) = running.relay.ended() {
                break Some(status);
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN) => {}
                // Dropped with the rest, it is killed.
                () = self.signals.reached(2) => break None,
            }
            if begin.elapsed() >= DRAIN_LIMIT {
                break None;
            }
        };
        let outcome = match status {
            Some(status) if status.success() => "drained: everything taken is published and confirmed".to_owned(),
            Some(status) => format!("ended without draining ({status})"),
            None => "not drained, killed".to_owned(),
        };
        self.screen.done("outbox-relay", &outcome, begin);
        status.is_some_and(|status: ExitStatus| status.success())
    }

    /// Whether no server is left.
    fn stop_servers(&mut self, running: Running) -> bool {
        let begin = Instant::now();
        let servers = running.stack.state().processes;
        drop(running);
        let left: Vec<String> = servers
            .iter()
            .filter(|server| server.is_alive())
            .map(|server| format!("{} (pid {}) still runs", server.server, server.pid))
            .collect();
        let outcome = if left.is_empty() {
            "stopped, nothing is left running".to_owned()
        } else {
            left.join(", ")
        };
        self.screen.done("PostgreSQL and Kafka", &outcome, begin);
        left.is_empty()
    }
}

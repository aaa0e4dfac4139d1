//! Asks the server, beside the stream, how slot, publication and standbys are. A table that is taken out of the
//! publication gives neither an error nor a notice in the stream: its rows would silently stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::config::Settings;
use crate::dead_letter::{read_controls, read_figures};
use crate::fault::{Fault, FaultKind};
use crate::pipeline::Controls;
use crate::postgres::{PostgresError, check_surroundings, fault, show_slot};
use crate::telemetry::{Metrics, SlotFigures};

/// What somebody asks of the relay is heard this soon.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// Everything else is looked at each so many times.
const LOOK_EACH: u32 = 5;
/// An answer that takes longer does not come: the connection is given up, or nobody would notice what changes.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
const ANSWER_TIMEOUT: Duration = Duration::from_millis(ANSWER_TIMEOUT_MS);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Why this stream cannot go on.
    pub(super) fault: Option<Fault>,
    /// What somebody has asked for.
    pub(super) controls: Option<Controls>,
    /// How the slot is.
    pub(super) slot: Option<SlotFigures>,
    /// How many letters are not resolved.
    pub(super) letters: Option<usize>,
}

/// One question at a time, and nobody waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    asked_at: Option<Instant>,
    times: u32,
    /// The newest question, until it is answered.
    asked: Option<oneshot::Receiver<Seen>>,
}

impl Lookout {
    /// Asks when it is time to. Returns what the last answer was, once.
    pub(super) fn look(
        &mut self,
        client: &Arc<Client>,
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        now: Instant,
    ) -> Option<Seen> {
        match self.asked.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(seen)) => {
                self.asked = None;
                return Some(seen);
            }
            Some(Err(TryRecvError::Empty)) => return None,
            Some(Err(TryRecvError::Closed)) | None => self.asked = None,
        }
        if self.asked_at.is_some_and(|at| now.duration_since(at) < LISTEN_EVERY) {
            return None;
        }
        self.asked_at = Some(now);
        self.times += 1;
        let looks = self.times % LOOK_EACH == 1;
        let (found, asked) = oneshot::channel();
        self.asked = Some(asked);
        let (client, settings, metrics) = (Arc::clone(client), Arc::clone(settings), Arc::clone(metrics));
        tokio::spawn(async move {
            let seen = timeout(ANSWER_TIMEOUT, ask(&client, &settings, &metrics, looks)).await;
            let seen = seen.unwrap_or_else(|_| Seen {
                fault: Some(unanswered(&settings)),
                ..Seen::default()
            });
            // Nobody listens any more when the stream has ended by itself.
            let _ = found.send(seen);
        });
        None
    }
}

async fn ask(client: &Client, settings: &Settings, metrics: &Metrics, looks: bool) -> Seen {
    let mut seen = Seen::default();
    match read_controls(client, settings).await {
        Ok(controls) => seen.controls = Some(controls),
        Err(error) => tracing::debug!("what was asked for could not be read: {error}"),
    }
    if !looks {
        return seen;
    }
    match show_slot(client, &settings.postgres.slot, metrics).await {
        Ok(figures) => seen.slot = figures,
        Err(error) => tracing::debug!("the slot's figures could not be read: {error}"),
    }
    match read_figures(client, &settings.postgres.slot).await {
        Ok(figures) => {
            seen.letters = Some(figures.unresolved());
            metrics.show_unresolved(&figures.by_state, figures.oldest);
        }
        Err(error) => tracing::debug!("dead letters could not be counted: {error}"),
    }
    let fault = check_surroundings(client, settings).await.err();
    // Whatever else it is, the end of the connection is heard elsewhere.
    seen.fault = fault.filter(|fault| fault.kind() == FaultKind::Environment);
    seen
}

fn unanswered(settings: &Settings) -> Fault {
    let error = PostgresError::TimedOut {
        what: "an answer on the control connection",
        timeout_ms: ANSWER_TIMEOUT_MS,
    };
    fault(&error, &settings.postgres)
}

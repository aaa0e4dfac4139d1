//! Asks the server, beside the stream, how slot, publication and standbys are. A table that is taken out of the
//! publication gives neither an error nor a notice in the stream: its rows would silently stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::config::Settings;
use crate::fault::{Fault, FaultKind};
use crate::postgres::{PostgresError, check_surroundings, fault, show_slot};
use crate::telemetry::Metrics;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// An answer that takes longer does not come: the connection is given up, or nobody would notice what changes.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
const ANSWER_TIMEOUT: Duration = Duration::from_millis(ANSWER_TIMEOUT_MS);

/// One question at a time, and nobody waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    asked_at: Option<Instant>,
    /// The newest question, until it is answered.
    asked: Option<oneshot::Receiver<Fault>>,
}

impl Lookout {
    /// Asks when it is time to. Returns what the last answer found wrong.
    pub(super) fn look(
        &mut self,
        client: &Arc<Client>,
        settings: &Arc<Settings>,
        metrics: &Arc<Metrics>,
        now: Instant,
    ) -> Option<Fault> {
        match self.asked.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(fault)) => return Some(fault),
            Some(Err(TryRecvError::Empty)) => return None,
            Some(Err(TryRecvError::Closed)) | None => self.asked = None,
        }
        if self.asked_at.is_some_and(|at| now.duration_since(at) < LOOK_EVERY) {
            return None;
        }
        self.asked_at = Some(now);
        let (found, asked) = oneshot::channel();
        self.asked = Some(asked);
        let (client, settings, metrics) = (Arc::clone(client), Arc::clone(settings), Arc::clone(metrics));
        tokio::spawn(async move {
            let fault = match timeout(ANSWER_TIMEOUT, ask(&client, &settings, &metrics)).await {
                Ok(fault) => fault,
                Err(_) => Some(unanswered(&settings)),
            };
            // Nobody listens any more when the stream has ended by itself.
            fault.map(|fault| found.send(fault))
        });
        None
    }
}

async fn ask(client: &Client, settings: &Settings, metrics: &Metrics) -> Option<Fault> {
    if let Err(error) = show_slot(client, &settings.postgres.slot, metrics).await {
        tracing::debug!("the slot's figures could not be read: {error}");
    }
    let fault = check_surroundings(client, settings).await.err();
    // Whatever else it is, the end of the connection is heard elsewhere.
    fault.filter(|fault| fault.kind() == FaultKind::Environment)
}

fn unanswered(settings: &Settings) -> Fault {
    let error = PostgresError::TimedOut {
        what: "an answer on the control connection",
        timeout_ms: ANSWER_TIMEOUT_MS,
    };
    fault(&error, &settings.postgres)
}

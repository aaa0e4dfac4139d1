//! The janitor of a running relay: a thread and a connection of its own, so that neither a long delete nor a slow disk holds
//! up an event. It can be killed at any moment, and begins where it was.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

use super::pace::Patience;
use super::round::Round;
use super::session::JanitorSession;
use super::{Report, RetentionError};
use crate::config::Settings;
use crate::postgres::Control;
use crate::telemetry::{Metrics, RetentionState};

const ACTOR: &str = r#"{"name": "janitor"}"#;
const WHY: &str = "their retention is over";
/// After an error, or where another relay's janitor works, it is tried again no sooner.
const RETRY_WAIT: Duration = Duration::from_secs(30);

/// A janitor at work.
#[derive(Debug)]
pub(crate) struct Janitor {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    session: Option<JanitorSession>,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

impl Janitor {
    /// Starts one, if that is configured.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(settings: &Arc<Settings>, metrics: &Arc<Metrics>) -> std::io::Result<()> {
        if !settings.retention.enabled {
            return Ok(());
        }
        let janitor = Self {
            settings: Arc::clone(settings),
            metrics: Arc::clone(metrics),
            session: None,
            said: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = move || runtime.block_on(janitor.run());
        thread::Builder::new().name("janitor".to_owned()).spawn(work).map(drop)
    }

    async fn run(mut self) {
        loop {
            let every = Duration::from_millis(self.settings.retention.every_ms);
            let wait = match self.round().await {
                Ok(report) => {
                    self.say_unproven(&report);
                    every
                }
                Err(error) => {
                    self.session = None;
                    self.say(&error);
                    RETRY_WAIT.min(every)
                }
            };
            sleep(wait).await;
        }
    }

    async fn round(&mut self) -> Result<Report, RetentionError> {
        let session = match self.session.take().filter(JanitorSession::is_open) {
            Some(session) => session,
            None => self.connect().await?,
        };
        let round = Round {
            settings: &self.settings,
            session: &session,
            metrics: &self.metrics,
            patience: Patience::Wait,
            why: WHY,
        };
        round.mark().await?;
        let report = round.run().await?;
        self.session = Some(session);
        Ok(report)
    }

    async fn connect(&self) -> Result<JanitorSession, RetentionError> {
        let control = Control::connect(&JanitorSession::login(&self.settings), "janitor").await?;
        let slot = &self.settings.postgres.slot;
        JanitorSession::begin(control, &self.settings.roles, slot, ACTOR.to_owned()).await
    }

    fn say(&mut self, error: &RetentionError) {
        // Of two relays on a slot one stands by, and so does its janitor.
        let is_standby = matches!(error, RetentionError::Busy(_));
        self.metrics.show_retention(if is_standby {
            RetentionState::Standby
        } else {
            RetentionState::Failing
        });
        if !is_standby {
            self.metrics.retention_failures.inc();
        }
        let text = error.to_string();
        if self.said.as_ref() == Some(&text) {
            return;
        }
        if is_standby {
            tracing::info!("the janitor waits: {text}");
        } else {
            tracing::warn!(
                next = "docs/RETENTION.md; it is tried again by itself",
                "nothing is removed: {text}"
            );
        }
        self.said = Some(text);
    }

    fn say_unproven(&mut self, report: &Report) {
        let unproven: Vec<&str> = report
            .tables
            .iter()
            .filter(|table| table.is_unproven)
            .map(|table| table.table.as_str())
            .collect();
        if unproven.is_empty() {
            self.said = None;
            return;
        }
        let text = unproven.join(", ");
        if self.said.as_ref() != Some(&text) {
            tracing::warn!(
                tables = text,
                next =
                    "make sure that all of their rows were published, then `outbox-relay purge --vouch --reason TEXT`",
                "nothing is removed from tables that held rows before the slot or before they were published"
            );
            self.said = Some(text);
        }
    }
}

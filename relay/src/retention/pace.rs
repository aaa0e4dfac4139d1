//! How fast rows are removed: between two batches the database belongs to the application, and the relay goes first.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::Client;

use super::RetentionError;
use crate::config::Settings;
use crate::postgres::slot_figures;
use crate::telemetry::{Metrics, RetentionState};

/// Steps that find nothing only read: so many of them are followed by a pause.
const IDLE_STEPS: u32 = 16;
const LAG_WAIT: Duration = Duration::from_secs(1);

/// What to do while the relay lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Wait until it does not.
    Wait,
    /// End with an error.
    Refuse,
}

/// Keeps the pace of one round.
#[derive(Debug)]
pub(super) struct Pace<'s> {
    settings: &'s Settings,
    metrics: &'s Metrics,
    patience: Patience,
    idle_steps: u32,
}

impl<'s> Pace<'s> {
    pub(super) const fn new(settings: &'s Settings, metrics: &'s Metrics, patience: Patience) -> Self {
        Self {
            settings,
            metrics,
            patience,
            idle_steps: 0,
        }
    }

    /// Between two steps, of which the last removed so many rows.
    pub(super) async fn breathe(&mut self, client: &Client, removed: u64) -> Result<(), RetentionError> {
        if removed == 0 {
            self.idle_steps += 1;
            if self.idle_steps < IDLE_STEPS {
                return Ok(());
            }
        }
        self.idle_steps = 0;
        sleep(Duration::from_millis(self.settings.retention.pause_ms)).await;
        self.give_way(client).await
    }

    /// Goes on only while the relay is not behind.
    pub(super) async fn give_way(&self, client: &Client) -> Result<(), RetentionError> {
        loop {
            let Some(lagging) = self.lagging(client).await? else {
                self.metrics.show_retention(RetentionState::Removing);
                return Ok(());
            };
            if self.patience == Patience::Refuse {
                return Err(lagging);
            }
            self.metrics.show_retention(RetentionState::Lagging);
            sleep(LAG_WAIT).await;
        }
    }

    async fn lagging(&self, client: &Client) -> Result<Option<RetentionError>, RetentionError> {
        let slot = &self.settings.postgres.slot;
        let figures = slot_figures(client, slot).await?;
        let figures = figures.ok_or_else(|| RetentionError::NoSlot(slot.clone()))?;
        let (lag_bytes, max) = (whole(figures.lag_bytes), self.settings.retention.lag_bytes_max);
        let slot = slot.clone();
        Ok((lag_bytes > max).then_some(RetentionError::Lagging { slot, lag_bytes, max }))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a distance between two LSNs, never negative and exact up to 2^53 bytes"
)]
const fn whole(bytes: f64) -> u64 {
    bytes as u64
}

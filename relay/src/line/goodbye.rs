//! Leaving a server: what is confirmed has to have arrived there.

use std::time::{Duration, Instant};

use outbox_decoder::Lsn;
use tokio::time::{sleep, timeout};

use super::stream::{End, Streaming};
use crate::postgres::{PostgresError, slot_figures};

/// How long the last confirmation may take, where nobody said more.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
const ASK_EVERY: Duration = Duration::from_millis(20);

impl Streaming<'_> {
    /// Confirms the last commit, ends the stream, and notes the clean stop.
    pub(super) async fn say_goodbye(mut self) -> End {
        let patience = Duration::from_millis(self.line.settings.postgres.wal_sender_timeout_ms / 2);
        let left = self.drain_left().min(patience).max(GOODBYE_TIMEOUT);
        let (confirmed, has_arrived) = self.confirm_now(left).await;
        let finished = timeout(GOODBYE_TIMEOUT, self.stream.finish()).await;
        // A stream that ends in order has had everything read.
        if !has_arrived && !matches!(finished, Ok(Ok(()))) {
            tracing::warn!("the server did not show the last confirmation; what was confirmed last may repeat");
            return End::Undrained;
        }
        let write = self
            .advisory
            .write(self.control.client(), confirmed, true, Instant::now());
        match timeout(GOODBYE_TIMEOUT, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the clean stop could not be noted: {error}"),
            Err(_) => tracing::warn!("the clean stop could not be noted in time"),
        }
        End::Drained
    }

    /// Leaves without everything being confirmed: what is, should not repeat.
    pub(super) async fn leave(mut self, end: End) -> End {
        if self.can_still_confirm() {
            let (_, has_arrived) = self.confirm_now(GOODBYE_TIMEOUT).await;
            self.line.left_nothing = has_arrived && self.may_leave();
        }
        end
    }

    /// Sends the last status update and waits until the server shows it. It is read while nothing more is: a walsender
    /// that streams a large transaction looks at replies only when it cannot send.
    async fn confirm_now(&mut self, limit: Duration) -> (Lsn, bool) {
        let sent = self.send_status(true).await;
        let confirmed = self.confirmation.confirmed();
        if sent.is_err() || !self.control.is_open() {
            return (confirmed, false);
        }
        let has_arrived = timeout(limit, self.wait_until_shown(confirmed)).await;
        (confirmed, matches!(has_arrived, Ok(Ok(()))))
    }

    async fn wait_until_shown(&self, confirmed: Lsn) -> Result<(), PostgresError> {
        let slot = &self.line.settings.postgres.slot;
        loop {
            let figures = slot_figures(self.control.client(), slot).await?;
            if figures.and_then(|figures| figures.confirmed) >= Some(confirmed) {
                return Ok(());
            }
            sleep(ASK_EVERY).await;
        }
    }
}

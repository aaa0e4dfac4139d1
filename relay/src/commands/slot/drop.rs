//! `outbox-relay slot drop`.

use postgres_protocol::escape::escape_identifier;

use super::{Failure, Refusal, Slot};
use crate::postgres::{SlotState, slot_figures};
use crate::telemetry::SlotFigures;

const OBJECT_IN_USE: &str = "55006";
/// So much WAL is looked through for events in seconds.
const LOOKED_THROUGH_BYTES_MAX: f64 = 64.0 * 1024.0 * 1024.0;
/// What a relay would get next, and nothing is taken. Before PostgreSQL 15 transactions without an event show too.
const PEEK: &str =
    "SELECT FROM pg_logical_slot_peek_binary_changes($1, NULL, 1, 'proto_version', '1', 'publication_names', $2)
                    LIMIT 1";

impl Slot<'_> {
    pub(super) async fn drop_slot(&self, yes: bool) -> Result<(), Failure> {
        let state = self.look().await?;
        match &state {
            SlotState::Missing => {
                println!("slot {} does not exist", self.name());
                Ok(())
            }
            SlotState::InUse(holder) => Err(in_use(&format!("replication slot {} is in use: {holder}", self.name()))),
            SlotState::Foreign { .. } => Ok(state.must_be_free(self.name())?),
            SlotState::Free | SlotState::Lost { .. } if yes => self.remove().await,
            SlotState::Free | SlotState::Lost { .. } => {
                self.must_hold_nothing(&state).await?;
                println!("slot {} holds nothing that would be published from it", self.name());
                self.remove().await
            }
        }
    }

    async fn must_hold_nothing(&self, state: &SlotState) -> Result<(), Failure> {
        let figures = slot_figures(self.control.client(), self.name()).await;
        let figures = figures.map_err(|error| self.failed(&error))?.unwrap_or_default();
        if *state == SlotState::Free && self.is_seen_empty(&figures).await {
            return Ok(());
        }
        Err(Failure::new(
            Refusal::SlotHoldsEvents,
            format!(
                "slot {} has {:.0} bytes of WAL that are not confirmed and may hold events; those would never be \
                 published from it",
                self.name(),
                figures.lag_bytes
            ),
            "if that is meant: outbox-relay slot drop --yes",
        ))
    }

    /// Whatever keeps the server from showing it keeps the slot from being dropped unasked.
    async fn is_seen_empty(&self, figures: &SlotFigures) -> bool {
        if figures.retained_wal_bytes > LOOKED_THROUGH_BYTES_MAX {
            return false;
        }
        let publication = escape_identifier(&self.settings.postgres.publication);
        let next = self
            .control
            .client()
            .query_opt(PEEK, &[&self.name(), &publication])
            .await;
        next.is_ok_and(|change| change.is_none())
    }

    async fn remove(&self) -> Result<(), Failure> {
        self.drop_now().await?;
        println!("slot {} is dropped", self.name());
        self.note("slot.drop", "dropped").await;
        Ok(())
    }

    /// Drops it, and forgets what was known of the relay on it.
    pub(in crate::commands) async fn drop_now(&self) -> Result<(), Failure> {
        let client = self.control.client();
        let name = self.name();
        let dropped = client.execute("SELECT pg_drop_replication_slot($1)", &[&name]).await;
        dropped.map_err(|error| {
            let error = error.into();
            let fault = crate::postgres::fault(&error, &self.settings.postgres);
            match error.sqlstate() {
                Some(OBJECT_IN_USE) => in_use(&fault.message),
                _ => fault.into(),
            }
        })?;
        self.forget_what_was_confirmed().await?;
        self.forget_the_last_relay().await
    }
}

fn in_use(message: &str) -> Failure {
    Failure::new(
        Refusal::SlotInUse,
        message,
        "stop the relay that uses it, and those that stand by, then drop the slot",
    )
}

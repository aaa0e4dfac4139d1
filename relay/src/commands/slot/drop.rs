//! `outbox-relay slot drop`.

use super::{Failure, Refusal, Slot};
use crate::postgres::{Advisory, SlotState, slot_figures};
use crate::retention::slot_ends;

const OBJECT_IN_USE: &str = "55006";

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
            SlotState::Free | SlotState::Lost { .. } => Err(self.explain().await?),
        }
    }

    async fn explain(&self) -> Result<Failure, Failure> {
        let figures = slot_figures(self.control.client(), self.name()).await;
        let lag_bytes = figures
            .map_err(|error| self.failed(&error))?
            .map_or(0.0, |figures| figures.lag_bytes);
        Ok(Failure::new(
            Refusal::SlotHoldsEvents,
            format!(
                "slot {} has {lag_bytes:.0} bytes of WAL that are not confirmed; events in them would never be \
                 published from it",
                self.name()
            ),
            "outbox-relay slot drop --yes",
        ))
    }

    async fn remove(&self) -> Result<(), Failure> {
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
        let forgotten = Advisory::forget(client, name).await;
        forgotten.map_err(|error| self.failed(&error))?;
        slot_ends(client, name).await.map_err(|error| self.failed(&error))?;
        println!("slot {name} is dropped");
        self.note("slot.drop", "dropped").await;
        Ok(())
    }
}

fn in_use(message: &str) -> Failure {
    Failure::new(
        Refusal::SlotInUse,
        message,
        "stop the relay that uses it, and those that stand by, then drop the slot",
    )
}

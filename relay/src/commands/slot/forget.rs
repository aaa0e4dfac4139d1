//! `outbox-relay slot forget`.

use super::{Failure, Refusal, Slot};
use crate::postgres::{Advisory, SlotState};

impl Slot<'_> {
    /// Also for a slot that is missing: a restored server may have the memory and not the slot.
    pub(super) async fn forget(&self) -> Result<(), Failure> {
        if let SlotState::InUse(holder) = self.look().await? {
            return Err(Failure::new(
                Refusal::SlotInUse,
                format!("replication slot {} is in use: {holder}", self.name()),
                "nothing: the relay that uses it has accepted this server",
            ));
        }
        let (client, name) = (self.control.client(), self.name());
        let known = Advisory::read(client, name).await;
        if known.map_err(|error| self.failed(&error))?.is_none() {
            println!("nothing is known of a relay on slot {name}");
            return Ok(());
        }
        let forgotten = Advisory::forget(client, name).await;
        forgotten.map_err(|error| self.failed(&error))?;
        println!("forgotten what the last relay on slot {name} knew");
        self.note("slot.forget", "forgotten").await;
        Ok(())
    }
}

//! What Kafka has by now, told to the outboxes that keep their delivery state: without it a row would read as pending for ever.

use super::super::Failure;
use super::super::slot::Slot;
use crate::clock;
use crate::postgres::PostgresError;

/// Rows that are told of at once. Those that were published have to be acknowledged before.
const TOLD_MAX: usize = 5_000;

/// The deliveries of one outbox.
pub(super) struct Deliveries<'d> {
    slot: &'d Slot<'d>,
    outbox: &'d str,
    /// Kafka had them. When it got them, nobody noted.
    found: Vec<String>,
    published: Vec<String>,
}

impl<'d> Deliveries<'d> {
    pub(super) const fn of(slot: &'d Slot<'d>, outbox: &'d str) -> Self {
        Self {
            slot,
            outbox,
            found: Vec::new(),
            published: Vec::new(),
        }
    }

    /// Kafka had it.
    pub(super) fn found(&mut self, id: &str) {
        self.found.push(id.to_owned());
    }

    /// It is on its way.
    pub(super) fn published(&mut self, id: &str) {
        self.published.push(id.to_owned());
    }

    pub(super) const fn is_full(&self) -> bool {
        self.found.len() + self.published.len() >= TOLD_MAX
    }

    /// Whether some are on their way that have to be acknowledged before anything is told.
    pub(super) const fn awaits(&self) -> bool {
        !self.published.is_empty()
    }

    /// Tells of all of them; those that are on their way are acknowledged.
    pub(super) async fn tell(&mut self) -> Result<(), Failure> {
        let statement = "SELECT outbox_relay.recovery_delivered(
            $1, $2, $3, timestamptz 'epoch' + $4::int8 * interval '1 microsecond')";
        let now = Some(clock::now().as_unix_us());
        for (ids, at_us) in [(&mut self.found, None), (&mut self.published, now)] {
            let ids = std::mem::take(ids);
            if ids.is_empty() {
                continue;
            }
            let client = self.slot.control.client();
            let told = client
                .execute(statement, &[&self.slot.name(), &self.outbox, &ids, &at_us])
                .await;
            told.map_err(|error| self.slot.failed(&PostgresError::from(error)))?;
        }
        Ok(())
    }
}

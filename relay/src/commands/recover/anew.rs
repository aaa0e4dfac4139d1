//! The slot, made anew or kept, and a view of the tables that fits it.

use std::time::Duration;

use outbox_decoder::Lsn;

use super::super::Failure;
use super::super::slot::Slot;
use super::hold::Hold;
use super::reader::Reader;

/// A server that waits for ever needs none, and gets one all the same.
const SIGN_OF_LIFE_MIN: Duration = Duration::from_secs(1);

/// What happens to the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is made, after the lost one was dropped.
    Anew {
        /// There is a lost one.
        drop_lost: bool,
    },
    /// It is there, and stays where it is.
    Keep,
}

/// How it is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    pub(super) way: Way,
    pub(super) failover: bool,
    pub(super) wait_ms: u64,
}

/// A slot from which commits will come, and who holds it.
pub(super) struct Ground {
    /// Of a new slot.
    pub(super) starts_at: Option<Lsn>,
    hold: Option<Hold>,
}

impl Ground {
    /// From here on, whatever commits comes through the slot, and the reader sees all that does not.
    pub(super) async fn prepare(slot: &Slot<'_>, reader: &Reader, making: Making) -> Result<Self, Failure> {
        let mut replication = slot.replication().await?;
        let starts_at = match making.way {
            Way::Anew { drop_lost } => {
                if drop_lost {
                    slot.drop_now().await?;
                    eprintln!("slot {} is dropped", slot.name());
                }
                slot.forget_what_was_confirmed().await?;
                slot.say_what_is_waited_for();
                let made = replication
                    .create_slot_with_snapshot(slot.name(), making.failover, making.wait_ms)
                    .await;
                let (point, snapshot) = match made {
                    Ok(made) => made,
                    Err(error) => return Err(slot.not_made(error).await),
                };
                reader.see(&snapshot).await?;
                slot.forget_the_last_relay().await?;
                eprintln!("slot {} starts at {point}", slot.name());
                Some(point)
            }
            Way::Keep => {
                reader.see_what_runs_now(making.wait_ms).await?;
                None
            }
        };
        let postgres = &slot.settings.postgres;
        let sign_of_life = Duration::from_millis(postgres.wal_sender_timeout_ms / 4).max(SIGN_OF_LIFE_MIN);
        let hold = Hold::take(replication, slot.name(), &postgres.publication, sign_of_life).await;
        let hold = hold.map_err(|error| slot.failed(&error))?;
        Ok(Self { starts_at, hold })
    }

    /// Whether no relay has published from the slot meanwhile.
    pub(super) fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(Hold::lasts)
    }
}

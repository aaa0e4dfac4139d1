//! Holds the slot while rows are republished: a relay stands by meanwhile, so that what it publishes comes after them.

use std::time::Duration;

use outbox_decoder::Lsn;
use outbox_decoder::stream::StatusUpdate;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock;
use crate::postgres::{PostgresError, ReplicationConnection, ReplicationStream};

const SLOT_IN_USE: &str = "55006";

/// Streams from the slot and reads nothing. Dropped, it lets go, and the slot is where it was.
pub(super) struct Hold(JoinHandle<()>);

impl Hold {
    /// Takes the slot; `None` when a relay was faster.
    pub(super) async fn take(
        replication: ReplicationConnection,
        slot: &str,
        publication: &str,
        sign_of_life: Duration,
    ) -> Result<Option<Self>, PostgresError> {
        match ReplicationStream::start(replication, slot, publication).await {
            Ok(stream) => Ok(Some(Self(tokio::spawn(stay(stream, sign_of_life))))),
            Err(error) if error.sqlstate() == Some(SLOT_IN_USE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the slot is still held.
    pub(super) fn lasts(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Without a word the server would take it for dead. No position is confirmed by what it says.
async fn stay(mut stream: ReplicationStream, sign_of_life: Duration) {
    let status = || StatusUpdate {
        written: Lsn::ZERO,
        flushed: Lsn::ZERO,
        sent_at: clock::now(),
        reply_requested: false,
    };
    while stream.send_status(status()).await.is_ok() {
        sleep(sign_of_life).await;
    }
}

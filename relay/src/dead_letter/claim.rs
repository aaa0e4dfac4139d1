//! Which relay may change the letters: the one that streams from the slot. One that was killed or frozen may have been about to
//! commit a letter, for an event that the next one publishes.
//!
//! The next one takes the claim once the slot is its own, under the lock under which letters are written, and reads the table
//! after that. Whoever writes looks for its claim under the same lock. So what another one was writing has committed before the
//! table is read, or never will.

use std::time::Duration;

use tokio_postgres::Client;

use crate::config::PostgresSettings;
use crate::fault::{Fault, FaultCode};
use crate::postgres::{PostgresError, fault};

const LOCK_TIMEOUT_MS: u64 = 20_000;
/// `lock_not_available`.
const LOCK_TIMED_OUT: &str = "55P03";

/// The right to change the letters of a slot, until another relay takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim(String);

impl Claim {
    /// Takes the claim, on the connection beside a stream that has begun, and waits for whoever changes letters now.
    ///
    /// # Errors
    /// Somebody else holds the letters for too long, or a statement failed.
    pub(crate) async fn take(client: &Client, settings: &PostgresSettings) -> Result<Self, Fault> {
        let taken = take(client, settings).await;
        taken.map_err(|error| match error.sqlstate() {
            Some(LOCK_TIMED_OUT) => held_by_others(settings),
            _ => fault(&error, settings),
        })
    }

    /// Whether it holds, and goes on to hold until the transaction ends: that has the lock of the letters, and sees what has
    /// committed before each of its statements.
    pub(super) async fn holds(&self, client: &Client, slot: &str) -> Result<bool, PostgresError> {
        let statement =
            "SELECT EXISTS (SELECT FROM outbox_relay.advisory WHERE slot_name = $1 AND letters_claim::text = $2)";
        let row = client.query_one(statement, &[&slot, &self.0]).await?;
        Ok(row.try_get(0)?)
    }
}

/// The server waits for a sign of life of the stream meanwhile.
fn lock_timeout_ms(settings: &PostgresSettings) -> u64 {
    LOCK_TIMEOUT_MS.min(settings.wal_sender_timeout_ms / 4)
}

async fn take(client: &Client, settings: &PostgresSettings) -> Result<Claim, PostgresError> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {}",
        lock_timeout_ms(settings)
    );
    client.batch_execute(&begin).await?;
    let slot = &settings.slot;
    client.execute("SELECT outbox_relay.letters_lock($1)", &[slot]).await?;
    let statement = "UPDATE outbox_relay.advisory SET letters_claim = gen_random_uuid() WHERE slot_name = $1 RETURNING letters_claim::text";
    let row = client.query_opt(statement, &[slot]).await?;
    client.batch_execute("COMMIT").await?;
    match row {
        Some(row) => Ok(Claim(row.try_get(0)?)),
        None => Err(PostgresError::Unexpected {
            got: "nothing".to_owned(),
            wanted: "the advisory row that was written when the session was opened",
        }),
    }
}

fn held_by_others(settings: &PostgresSettings) -> Fault {
    let waited = Duration::from_millis(lock_timeout_ms(settings));
    Fault::new(
        FaultCode::PostgresRefused,
        format!(
            "for {} s another session has been changing the dead letters of slot {}: a relay before this one, or an operator's \
             command",
            waited.as_secs_f32(),
            settings.slot
        ),
        "nothing: it is waited for, and the server ends the session of a relay that is gone within a minute; if it lasts, SELECT \
         pid FROM pg_locks WHERE locktype = 'advisory' AND granted says who it is",
    )
}

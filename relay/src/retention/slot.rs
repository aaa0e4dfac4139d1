//! What retention has to know of a slot's life: what was confirmed by one says nothing of the next one of its name.

use tokio_postgres::Client;

use crate::postgres::PostgresError;

/// The database was migrated by an earlier version, which removes nothing.
const NOT_MIGRATED: &str = "42883";

/// A slot was made: what its tables hold already is in no stream of it.
///
/// # Errors
/// The statement failed.
pub(crate) async fn slot_begins(client: &Client, slot: &str, publication: &str) -> Result<(), PostgresError> {
    let begun = client
        .execute("SELECT outbox_relay.retention_begin($1, $2)", &[&slot, &publication])
        .await;
    unless_not_migrated(begun)
}

/// A slot was dropped.
///
/// # Errors
/// The statement failed.
pub(crate) async fn slot_ends(client: &Client, slot: &str) -> Result<(), PostgresError> {
    unless_not_migrated(
        client
            .execute("SELECT outbox_relay.retention_forget($1)", &[&slot])
            .await,
    )
}

fn unless_not_migrated(done: Result<u64, tokio_postgres::Error>) -> Result<(), PostgresError> {
    match done.map_err(PostgresError::from) {
        Err(error) if error.sqlstate() == Some(NOT_MIGRATED) => Ok(()),
        done => done.map(drop),
    }
}

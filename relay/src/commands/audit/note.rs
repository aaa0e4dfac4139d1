//! Notes in the trail what administration commands did.

use tokio_postgres::Client;

use super::super::operation::show_head;
use crate::postgres::PostgresError;

/// What was done.
pub(in super::super) struct Deed<'d> {
    /// Such as `slot.drop`.
    pub(in super::super) action: &'static str,
    /// To what.
    pub(in super::super) resource: String,
    pub(in super::super) why: Option<&'d str>,
    pub(in super::super) result: String,
}

/// Appends it. What was done is done: that it cannot be noted is said, and no failure.
pub(in super::super) async fn note(client: &Client, deed: &Deed<'_>, actor: &str) {
    let statement =
        "SELECT seq, head FROM outbox_relay.audit_append('administration', $1, $2, $3, $4, $5::text::jsonb)";
    let Deed {
        action,
        resource,
        why,
        result,
    } = deed;
    let row = client
        .query_one(statement, &[action, resource, why, result, &actor])
        .await;
    let noted = row.and_then(|row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, String>(1)?)));
    match noted {
        Ok((seq, head)) => show_head(seq, &head),
        Err(error) => {
            let error = PostgresError::from(error);
            eprintln!(
                "audit: {action} of {resource} is not noted: {error}; `outbox-relay migrate` makes the trail, and lets"
            );
            eprintln!("audit: the relay's role append to it");
        }
    }
}

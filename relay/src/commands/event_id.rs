//! Whether an id can be an event's, and whether one has it now.

use postgres_protocol::escape::escape_identifier;

use super::operation::Operation;
use super::{Failure, Refusal};
use crate::config::OutboxSettings;

/// What an outbox table says of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// A row has it.
    Has,
    /// None has it now.
    Lacks,
    /// None can ever have it.
    Never,
    /// The table cannot be asked.
    Nothing,
}

/// Refuses what no row can have as its id, and warns of what none has now: a row may be removed after it was published, and one that is
/// not committed yet is not seen.
pub(super) async fn check(operation: &Operation<'_>, event: &str) -> Result<(), Failure> {
    let mut said = Vec::new();
    for outbox in operation.settings.outbox.values() {
        said.push(ask(operation, outbox, event).await);
    }
    if said.iter().all(|said| *said == Said::Never) {
        return Err(Failure::new(
            Refusal::EventIdWrong,
            format!("{event} is no event's id: the ids of every outbox are UUIDs"),
            "give the row's id as PostgreSQL shows it, in lower case: the log and /readyz name the event that the line halts at",
        ));
    }
    let is_nowhere = said.iter().all(|said| matches!(said, Said::Lacks | Said::Never));
    if is_nowhere {
        eprintln!(
            "no outbox has a row with this id now: unless it is removed already, or not committed yet, this is not the id that is meant; \
             `outbox-relay skip {event} --withdraw` takes it back"
        );
    }
    Ok(())
}

async fn ask(operation: &Operation<'_>, outbox: &OutboxSettings, event: &str) -> Said {
    let Some(id) = &outbox.columns.id else {
        return Said::Nothing;
    };
    let statement = "SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
         WHERE a.attrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.attname = $3 AND NOT a.attisdropped";
    let client = operation.client();
    let row = client.query_opt(statement, &[&outbox.schema, &outbox.table, id]).await;
    let Ok(Some(Ok(of_type))) = row.map(|row| row.map(|row| row.try_get::<_, String>(0))) else {
        return Said::Nothing;
    };
    if of_type == "uuid" && !is_uuid(event) {
        return Said::Never;
    }
    let [schema, table, id] = [&outbox.schema, &outbox.table, id].map(|name| escape_identifier(name));
    let statement = format!("SELECT EXISTS (SELECT FROM {schema}.{table} WHERE {id} = $1::text::{of_type})");
    match client
        .query_one(&statement, &[&event])
        .await
        .and_then(|row| row.try_get(0))
    {
        Ok(true) => Said::Has,
        Ok(false) => Said::Lacks,
        // The text is none of the type's, or this role may not read the table.
        Err(_) => Said::Nothing,
    }
}

/// As PostgreSQL writes it, and the relay compares it.
fn is_uuid(event: &str) -> bool {
    let is_right = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    event.len() == 36 && event.bytes().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_only_as_postgresql_writes_it() {
        assert!(is_uuid("0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a10"));
        for other in [
            "0B8F1C9E-6D0E-4D39-9D3C-1F3A4A3B9A10",
            "0b8f1c9e6d0e4d399d3c1f3a4a3b9a10",
            "0b8f1c9e-6d0e-4d39-9d3c-1f3a4a3b9a1",
            "e9",
            "",
        ] {
            assert!(!is_uuid(other), "{other}");
        }
    }
}

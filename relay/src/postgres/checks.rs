//! What must be true before streaming may start. Each check that fails is a fault with its remedy.

use tokio_postgres::Client;

use crate::config::Settings;
use crate::fault::{Fault, FaultCode};
use crate::postgres::advisory::Remembered;
use crate::postgres::error::PostgresError;
use crate::postgres::policy;
use crate::postgres::publication::{Published, check_publication};
use crate::postgres::replication::{Identity, ReplicationConnection};
use crate::postgres::slot::SlotState;

/// What to do where a server logs too little for a logical slot.
pub const WAL_LEVEL_REMEDY: &str =
    "ALTER SYSTEM SET wal_level = 'logical' and restart the server (Amazon RDS: rds.logical_replication = 1)";

/// A slot that can be streamed from: it exists, is ours to use, and its publication holds what the configuration maps.
#[derive(Debug)]
pub struct CheckedSlot {
    name: String,
    publication: String,
}

impl CheckedSlot {
    /// The slot's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The publication that the stream is filtered by.
    pub fn publication(&self) -> &str {
        &self.publication
    }

    /// Checks server, publication and slot.
    ///
    /// # Errors
    /// The first thing that is not as it must be; [`FaultKind::Standby`](crate::fault::FaultKind) while another
    /// connection holds the slot.
    pub async fn check(client: &Client, settings: &Settings) -> Result<Self, Fault> {
        let postgres = &settings.postgres;
        let failed = |error: PostgresError| policy::fault(&error, postgres);
        check_wal_level(client).await.map_err(failed)??;
        let published = check_surroundings(client, settings).await?;
        let slot = SlotState::look(client, &postgres.slot, &postgres.database).await;
        slot.map_err(failed)?.must_be_free(&postgres.slot)?;
        published.warn_of_row_filters(&postgres.publication);
        Ok(Self {
            name: postgres.slot.clone(),
            publication: postgres.publication.clone(),
        })
    }
}

/// Checks what can change under a running stream: whether commits wait for the relay, and the publication.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check_surroundings(client: &Client, settings: &Settings) -> Result<Published, Fault> {
    let checked = check_not_synchronous(client, &settings.postgres.application_name).await;
    checked.map_err(|error| policy::fault(&error, &settings.postgres))??;
    check_publication(client, settings).await
}

async fn show(client: &Client, parameter: &str) -> Result<String, PostgresError> {
    Ok(client
        .query_one("SELECT current_setting($1)", &[&parameter])
        .await?
        .try_get(0)?)
}

async fn check_wal_level(client: &Client) -> Result<Result<(), Fault>, PostgresError> {
    let level = show(client, "wal_level").await?;
    Ok(if level == "logical" {
        Ok(())
    } else {
        Err(Fault::new(
            FaultCode::WalLevelTooLow,
            format!("PostgreSQL has wal_level = {level}, and a logical slot needs logical"),
            WAL_LEVEL_REMEDY,
        ))
    })
}

/// A synchronous standby makes every commit of the cluster wait for Kafka.
async fn check_not_synchronous(client: &Client, application_name: &str) -> Result<Result<(), Fault>, PostgresError> {
    let names = show(client, "synchronous_standby_names").await?;
    let is_synchronous = standby_names(&names)
        .iter()
        .any(|name| name == "*" || name.eq_ignore_ascii_case(application_name));
    Ok(if is_synchronous {
        Err(Fault::new(
            FaultCode::RelayIsSynchronousStandby,
            format!(
                "synchronous_standby_names = '{names}' makes this relay a synchronous standby: every commit would \
                     wait for Kafka"
            ),
            format!("name the real standbys there, without * and without {application_name}"),
        ))
    } else {
        Ok(())
    })
}

/// The words of a `synchronous_standby_names`; a name in double quotes may hold anything.
fn standby_names(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut is_quoted = false;
    for character in list.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '(' | ')' | ',' | ' ' if !is_quoted => names.push(String::new()),
            other => names.last_mut().into_iter().for_each(|name| name.push(other)),
        }
    }
    names
}

/// Checks that this is the cluster of before.
///
/// # Errors
/// It is another one; `remedy` is what to do then.
pub(super) fn check_cluster(identity: &Identity, known: &Remembered, remedy: &str) -> Result<(), Fault> {
    let (now, before) = (identity.system_identifier, known.system_identifier);
    if now == before {
        return Ok(());
    }
    let message = format!("this is another PostgreSQL cluster: system identifier {now}, before it was {before}");
    Err(Fault::new(FaultCode::ServerReplaced, message, remedy))
}

/// Compares the server with what the advisory row remembers: a server that was restored or that lags behind the one
/// before it must not be streamed from as if it were the same.
///
/// # Errors
/// A fault when the server cannot be trusted to have everything that was confirmed.
pub(super) async fn check_identity(
    replication: &mut ReplicationConnection,
    identity: &Identity,
    known: &Remembered,
    settings: &Settings,
) -> Result<(), Fault> {
    let remedy = "find out which server this is. If it is meant: `outbox-relay recover --keep-slot --since TIME --dry-run` \
                  lists the events that it lacks; then run `outbox-relay slot forget` so that the relay accepts it";
    check_cluster(identity, known, remedy)?;
    let went_back = |what: String| Fault::new(FaultCode::ServerWentBack, what, remedy);
    let confirmed = known.confirmed;
    if identity.timeline < known.timeline {
        let (now, before) = (identity.timeline, known.timeline);
        return Err(went_back(format!(
            "the server is on timeline {now}, before it was on {before}"
        )));
    }
    if identity.timeline > known.timeline {
        let point = replication.switch_point(identity.timeline, known.timeline).await;
        let point = point.map_err(|error| policy::fault(&error, &settings.postgres))?;
        if point < confirmed {
            return Err(went_back(format!(
                "the server was promoted at {point}, and events up to {confirmed} were confirmed before: it lacks some"
            )));
        }
        tracing::info!(timeline = identity.timeline, %point, "the server was promoted; it has all that was confirmed");
    }
    if identity.flushed < confirmed {
        let now = identity.flushed;
        return Err(went_back(format!(
            "the server's WAL ends at {now}, and {confirmed} was confirmed before"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_name_in_quotes_may_hold_what_separates_others() {
        let names = standby_names("FIRST 2 (s1, \"my relay\", \"a,(b)\")");
        for name in ["s1", "my relay", "a,(b)"] {
            assert!(names.iter().any(|found| found == name), "{name:?} in {names:?}");
        }
        assert!(standby_names("ANY 1 (*)").iter().any(|name| name == "*"));
    }
}

//! What must be true before streaming may start. Each check that fails is a fault with its remedy.

use tokio_postgres::Client;

use crate::config::Settings;
use crate::fault::Fault;
use crate::postgres::advisory::Remembered;
use crate::postgres::error::PostgresError;
use crate::postgres::policy;
use crate::postgres::publication::check_publication;
use crate::postgres::replication::{Identity, ReplicationConnection};

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
        check_not_synchronous(client, &postgres.application_name)
            .await
            .map_err(failed)??;
        check_publication(client, settings).await?;
        check_slot(client, &postgres.slot, &postgres.database)
            .await
            .map_err(failed)??;
        Ok(Self {
            name: postgres.slot.clone(),
            publication: postgres.publication.clone(),
        })
    }
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
        Err(Fault::environment(
            "wal_level_too_low",
            format!("PostgreSQL has wal_level = {level}, and a logical slot needs logical"),
            "ALTER SYSTEM SET wal_level = 'logical' and restart the server (Amazon RDS: rds.logical_replication = 1)",
        ))
    })
}

/// A synchronous standby makes every commit of the cluster wait for Kafka.
async fn check_not_synchronous(client: &Client, application_name: &str) -> Result<Result<(), Fault>, PostgresError> {
    let names = show(client, "synchronous_standby_names").await?;
    let listed = names.split(['(', ')', ',', ' ']).map(|name| name.trim_matches('"'));
    let is_synchronous = listed
        .into_iter()
        .any(|name| name == "*" || name.eq_ignore_ascii_case(application_name));
    Ok(if is_synchronous {
        Err(Fault::environment(
            "relay_is_synchronous_standby",
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

/// Checks that the slot is there, is one of this database with `pgoutput`, has all its WAL, and is free.
///
/// # Errors
/// The outer one: the statement failed. The inner one: the first thing that is not so; its code says which.
pub(crate) async fn check_slot(
    client: &Client,
    slot: &str,
    database: &str,
) -> Result<Result<(), Fault>, PostgresError> {
    // The reason has a column of its own from PostgreSQL 17 on.
    let row = client
        .query_opt(
            "SELECT coalesce(slot.plugin::text, ''), coalesce(slot.database::text, ''),
                    coalesce(slot.wal_status, ''), coalesce(to_jsonb(slot) ->> 'invalidation_reason', ''),
                    slot.active_pid, coalesce(holder.application_name, ''),
                    coalesce(host(holder.client_addr), 'the same machine')
             FROM pg_replication_slots AS slot LEFT JOIN pg_stat_activity AS holder ON holder.pid = slot.active_pid
             WHERE slot.slot_name = $1",
            &[&slot],
        )
        .await?;
    let Some(row) = row else {
        return Ok(Err(Fault::environment(
            "slot_missing",
            format!("replication slot {slot} does not exist"),
            "run `outbox-relay slot create`; if the slot existed before, the events since its last position are not \
             in a new one: look for them in the outbox table first",
        )));
    };
    let (plugin, of_database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if plugin != "pgoutput" || of_database != database {
        return Ok(Err(Fault::environment(
            "slot_unusable",
            format!(
                "replication slot {slot} is of database {of_database:?} with plugin {plugin:?}; needed is one of \
                     {database:?} with \"pgoutput\""
            ),
            "correct postgres.slot or postgres.database",
        )));
    }
    let (wal_status, reason): (String, String) = (row.try_get(2)?, row.try_get(3)?);
    if wal_status == "lost" {
        return Ok(Err(slot_lost(slot, &reason)));
    }
    Ok(match row.try_get::<_, Option<i32>>(4)? {
        None => Ok(()),
        Some(pid) => {
            let (application, client): (String, String) = (row.try_get(5)?, row.try_get(6)?);
            let holder = format!("process {pid} of the server works for {application} from {client}");
            Err(slot_active(slot, &holder))
        }
    })
}

fn slot_lost(slot: &str, reason: &str) -> Fault {
    let why = match reason {
        "" | "wal_removed" => "PostgreSQL removed WAL that it needed (max_slot_wal_keep_size)",
        "idle_timeout" => "nobody used it for too long (idle_replication_slot_timeout)",
        "rows_removed" => "catalog rows that it needed are gone (on a standby: hot_standby_feedback)",
        "wal_level_insufficient" => "the primary's wal_level was lowered",
        other => other,
    };
    Fault::environment(
        "slot_lost",
        format!("replication slot {slot} is lost: {why}"),
        "events since its last position are only in the outbox table now; publish them from there, then run \
         `outbox-relay slot drop` and `outbox-relay slot create`",
    )
}

/// Another connection holds the slot: most likely another relay.
pub(super) fn slot_active(slot: &str, holder: &str) -> Fault {
    Fault::standby(
        "slot_active",
        format!("replication slot {slot} is in use: {holder}"),
        "nothing: this relay takes over when the other one is gone",
    )
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
    let remedy = "find out which server this is. If it is meant: look for events between the two positions, then run \
                  `outbox-relay slot forget` so that the relay accepts it";
    if identity.system_identifier != known.system_identifier {
        let (now, before) = (identity.system_identifier, known.system_identifier);
        let message = format!("this is another PostgreSQL cluster: system identifier {now}, before it was {before}");
        return Err(Fault::environment("server_replaced", message, remedy));
    }
    let went_back = |what: String| Fault::environment("server_went_back", what, remedy);
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

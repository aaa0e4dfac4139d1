//! How the configured slot is: there, ours, whole, free.

use std::fmt;

use tokio_postgres::{Client, Row};

use crate::fault::{Fault, FaultCode};
use crate::postgres::error::PostgresError;

/// How a slot is. Slots belong to the whole server: somebody else's may have the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    /// There is none.
    Missing,
    /// It is of another database or another plugin.
    Foreign {
        /// What it is and what is needed.
        what: String,
    },
    /// The server has removed what it needed.
    Lost {
        /// Why.
        why: String,
    },
    /// Somebody streams from it.
    InUse(SlotHolder),
    /// Nobody does.
    Free,
}

/// Who streams from a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotHolder {
    /// Process of the server.
    pub pid: i32,
    /// The role that it is logged in as.
    pub role: String,
    /// Whom it works for, and from where; `None` where this role may not see it.
    pub client: Option<String>,
}

impl fmt::Display for SlotHolder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, role, client } = self;
        match client {
            Some(client) => write!(out, "{client}, role {role}, server process {pid}"),
            None => write!(out, "role {role}, server process {pid}"),
        }
    }
}

impl SlotState {
    /// Looks whether the slot is there and can be used from this database.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(client: &Client, slot: &str, database: &str) -> Result<Self, PostgresError> {
        // The reason of a loss has a column of its own from PostgreSQL 17 on.
        let statement = "SELECT coalesce(slot.plugin::text, ''), coalesce(slot.database::text, ''),
                    coalesce(slot.wal_status, ''), coalesce(to_jsonb(slot) ->> 'invalidation_reason', ''),
                    slot.active_pid, holder.usename::text, holder.application_name, host(holder.client_addr)
             FROM pg_replication_slots AS slot LEFT JOIN pg_stat_activity AS holder ON holder.pid = slot.active_pid
             WHERE slot.slot_name = $1";
        let row = client.query_opt(statement, &[&slot]).await?;
        row.map_or(Ok(Self::Missing), |row| Self::of(&row, database))
    }

    fn of(row: &Row, database: &str) -> Result<Self, PostgresError> {
        let (plugin, of_database): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if plugin != "pgoutput" || of_database != database {
            let what = format!(
                "is of database {of_database:?} with plugin {plugin:?}; needed is one of {database:?} with \"pgoutput\""
            );
            return Ok(Self::Foreign { what });
        }
        let (wal_status, reason): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        if wal_status == "lost" {
            let why = explain(&reason);
            return Ok(Self::Lost { why });
        }
        Ok(match row.try_get::<_, Option<i32>>(4)? {
            None => Self::Free,
            Some(pid) => Self::InUse(SlotHolder {
                pid,
                role: row.try_get::<_, Option<String>>(5)?.unwrap_or_default(),
                client: client(row.try_get(6)?, row.try_get(7)?),
            }),
        })
    }

    /// The slot can be streamed from now.
    ///
    /// # Errors
    /// What stands in the way; [`FaultKind::Standby`](crate::fault::FaultKind) when somebody else streams from it.
    pub fn must_be_free(&self, slot: &str) -> Result<(), Fault> {
        match self {
            Self::Free => Ok(()),
            Self::InUse(holder) => Err(slot_active(slot, &holder.to_string())),
            Self::Missing => Err(Fault::new(
                FaultCode::SlotMissing,
                format!("replication slot {slot} does not exist"),
                "run `outbox-relay slot create`; if the slot existed before, `outbox-relay recover` in its place: the events \
                 since its last position are only in the outbox table",
            )),
            Self::Foreign { what } => Err(Fault::new(
                FaultCode::SlotUnusable,
                format!("replication slot {slot} {what}"),
                "correct postgres.slot or postgres.database",
            )),
            Self::Lost { why } => Err(Fault::new(
                FaultCode::SlotLost,
                format!("replication slot {slot} is lost: {why}"),
                "`outbox-relay recover`, which makes it anew and publishes once more what only the outbox table has; \
                 docs/RECOVERY.md",
            )),
        }
    }
}

/// What PostgreSQL 17 and later say of a slot's copies on standbys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCopies {
    /// Standbys keep it (`failover`).
    pub is_kept: bool,
    /// This server is a standby, and this such a copy (`synced`).
    pub is_copy: bool,
}

impl SlotCopies {
    /// Asks. Of a slot that is not there, and of an earlier version, nothing is so.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn look(client: &Client, slot: &str) -> Result<Self, PostgresError> {
        let statement = "SELECT coalesce((to_jsonb(slot) ->> 'failover')::bool, false),
                    coalesce((to_jsonb(slot) ->> 'synced')::bool, false) AND pg_is_in_recovery()
             FROM pg_replication_slots AS slot WHERE slot.slot_name = $1";
        let row = client.query_opt(statement, &[&slot]).await?;
        row.map_or(Ok(Self::default()), |row| {
            Ok(Self {
                is_kept: row.try_get(0)?,
                is_copy: row.try_get(1)?,
            })
        })
    }
}

/// Sessions of other roles hide both; a unix socket has no address.
fn client(application_name: Option<&str>, address: Option<&str>) -> Option<String> {
    let application_name = application_name?;
    Some(format!(
        "{application_name} from {}",
        address.unwrap_or("a unix socket")
    ))
}

/// Why a slot was invalidated, by the name that the server has for it.
fn explain(reason: &str) -> String {
    let why = match reason {
        "" | "wal_removed" => "PostgreSQL removed WAL that it needed (max_slot_wal_keep_size)",
        "idle_timeout" => "nobody used it for too long (idle_replication_slot_timeout)",
        "rows_removed" => "catalog rows that it needed are gone (on a standby: hot_standby_feedback)",
        "wal_level_insufficient" => "the primary's wal_level was lowered",
        other => other,
    };
    why.to_owned()
}

/// Another connection holds the slot: most likely another relay.
pub(super) fn slot_active(slot: &str, holder: &str) -> Fault {
    Fault::new(
        FaultCode::SlotActive,
        format!("replication slot {slot} is in use: {holder}"),
        "nothing: this relay takes over when the other one is gone",
    )
}

//! What each of PostgreSQL's errors means for the relay. Decided by SQLSTATE, never by a text, which may be translated.
//!
//! Source: PostgreSQL documentation, "PostgreSQL Error Codes". What is not listed is transient.

use outbox_decoder::DecodeError;

use crate::config::PostgresSettings;
use crate::fault::{Fault, FaultCode};
use crate::postgres::error::{PostgresError, ServerError, TlsError};

/// The fault that an error means.
pub fn fault(error: &PostgresError, settings: &PostgresSettings) -> Fault {
    let message = format!("PostgreSQL {}: {error}", place(settings));
    let error = error.innermost();
    if is_said_behind_a_pooler(error) {
        return pooler_in_the_way(message);
    }
    match (error, error.sqlstate()) {
        (PostgresError::Server(server), Some("42704")) if server.routine.as_deref() == Some("get_publication_oid") => {
            jammed(settings, message)
        }
        (PostgresError::Server(server), Some("42704")) if is_about_slot(server) => slot_missing(settings, message),
        (PostgresError::Control(_), Some("42501")) => Fault::new(
            FaultCode::PostgresNotPermitted,
            message,
            format!(
                "log in as the relay's role, or run `outbox-relay migrate`, which gives role {} what it needs",
                settings.user
            ),
        ),
        (_, Some(sqlstate)) => refusal(sqlstate, message, settings),
        (_, None) => broken(error, message, settings),
    }
}

/// What only a pooler says, or PostgreSQL behind one. A pooler knows no routine, and refuses the parameter that makes a
/// connection a walsender's; one that is told to ignore it gives an ordinary session, to which a replication command is
/// bad syntax. Where sessions change at each transaction, the driver meets the statements of others under its names.
fn is_said_behind_a_pooler(error: &PostgresError) -> bool {
    match (error, error.sqlstate()) {
        (PostgresError::Server(server), Some("08P01")) => server.routine.is_none(),
        (PostgresError::Server(_), Some("42601")) | (PostgresError::Control(_), Some("26000" | "42P05")) => true,
        _ => false,
    }
}

fn pooler_in_the_way(message: String) -> Fault {
    let hint = "name PostgreSQL itself in postgres.host and postgres.port: a pooler (PgBouncer before 1.23, or one that \
                changes sessions at each transaction) cannot carry a replication stream";
    Fault::new(FaultCode::PostgresPoolerInTheWay, message, hint)
}

/// The server said no.
fn refusal(sqlstate: &str, message: String, settings: &PostgresSettings) -> Fault {
    let PostgresSettings {
        user, database, slot, ..
    } = settings;
    let (code, hint) = match sqlstate {
        "28000" => (
            FaultCode::PostgresAuthenticationFailed,
            format!(
                "check postgres.user (role {user} needs LOGIN) and pg_hba.conf (a line for role {user} and database \
                 {database}, not the keyword replication); where the server wants a certificate, \
                 postgres.tls_certificate_file with the role as its common name"
            ),
        ),
        "28P01" => (
            FaultCode::PostgresAuthenticationFailed,
            format!(
                "check postgres.user, postgres.password_file and pg_hba.conf (a line for role {user} and database \
                 {database}, not the keyword replication); `outbox-relay migrate --user OWNER --set-password` makes \
                 the role and gives it the configured password"
            ),
        ),
        "3D000" => (
            FaultCode::PostgresDatabaseMissing,
            "correct postgres.database, or create it".to_owned(),
        ),
        "42501" => (
            FaultCode::PostgresNotPermitted,
            format!(
                "ALTER ROLE {user} REPLICATION (on Amazon RDS: GRANT rds_replication TO {user}); run `outbox-relay \
                 migrate` for the other grants"
            ),
        ),
        "42P01" | "3F000" => (FaultCode::SchemaNotMigrated, "run `outbox-relay migrate`".to_owned()),
        "55000" => (
            FaultCode::SlotUnusable,
            format!("look at pg_replication_slots for slot {slot}: wal_status and database say why"),
        ),
        // A server that starts or stops.
        _ if sqlstate.starts_with("57P") => return unreachable(message),
        _ => {
            let hint = "the server's message says why (53300: raise max_connections or max_wal_senders; 53400: raise \
                        max_replication_slots; 55006: stop what uses the slot; 08P01: a pooler refused, connect to \
                        PostgreSQL itself)";
            return Fault::new(FaultCode::PostgresRefused, message, hint);
        }
    };
    Fault::new(code, message, hint)
}

/// The connection did not come about, or did not last.
fn broken(error: &PostgresError, message: String, settings: &PostgresSettings) -> Fault {
    let user = &settings.user;
    let (code, hint) = match error {
        PostgresError::Tls(tls) => (FaultCode::PostgresTlsFailed, tls_hint(tls).to_owned()),
        PostgresError::ChannelBinding(_) => (
            FaultCode::PostgresChannelBindingMissing,
            "look for a proxy that ends TLS in between; if it belongs there, set postgres.channel_binding to prefer"
                .to_owned(),
        ),
        PostgresError::Authentication(_) | PostgresError::Scram(_) => (
            FaultCode::PostgresAuthenticationFailed,
            format!(
                "give role {user} a SCRAM-SHA-256 password (password_encryption = scram-sha-256) and pg_hba.conf the \
                 method scram-sha-256"
            ),
        ),
        PostgresError::NoPassword => (
            FaultCode::PostgresAuthenticationFailed,
            "set postgres.password_file".to_owned(),
        ),
        PostgresError::Secret(_) => (
            FaultCode::PostgresPasswordUnreadable,
            "make the file readable for the relay".to_owned(),
        ),
        PostgresError::Decode(DecodeError::FrameTooLarge { .. }) => (
            FaultCode::RowTooLarge,
            "raise postgres.frame_bytes_max and restart the relay; nothing is lost".to_owned(),
        ),
        PostgresError::Standby(_) => {
            let hint = "nothing while a failover is under way; otherwise name the primary in postgres.host, or all of \
                        the servers";
            return Fault::new(FaultCode::PostgresIsStandby, message, hint);
        }
        PostgresError::Decode(_) | PostgresError::Unexpected { .. } => {
            let hint = "look for a pooler or proxy in between, and connect to PostgreSQL itself";
            return Fault::new(FaultCode::PostgresProtocolViolation, message, hint);
        }
        _ => return unreachable(message),
    };
    Fault::new(code, message, hint)
}

fn unreachable(message: String) -> Fault {
    let hint = "check postgres.host, postgres.port and the network, unless the server is just restarting";
    Fault::new(FaultCode::PostgresUnreachable, message, hint)
}

fn tls_hint(error: &TlsError) -> &'static str {
    match error {
        TlsError::NotOffered => {
            "switch TLS on at the server (ssl = on); on a network that nobody else reaches, postgres.tls_mode = disable"
        }
        TlsError::File { .. } => "give a PEM file that the relay's user can read",
        TlsError::Passphrase { .. } => {
            "put the passphrase of postgres.tls_key_file into a file, and name it in postgres.tls_key_password_file"
        }
        TlsError::Certificate { .. } => {
            "name the CA in postgres.tls_ca_file, and the server in postgres.host as its certificate does; if neither \
             is wrong, somebody stands in between"
        }
        TlsError::Handshake(_) => {
            "compare the versions of both sides (postgres.tls_min_version = 1.2 for an old server), and whether the \
             server wants a certificate (postgres.tls_certificate_file)"
        }
    }
}

/// The same SQLSTATE says that any other object is missing.
fn is_about_slot(error: &ServerError) -> bool {
    error
        .routine
        .as_deref()
        .is_some_and(|routine| routine.starts_with("ReplicationSlot"))
}

fn slot_missing(settings: &PostgresSettings, message: String) -> Fault {
    let slot = &settings.slot;
    Fault::new(
        FaultCode::SlotMissing,
        message,
        format!(
            "run `outbox-relay slot create` once the outbox is migrated; if slot {slot} existed before, events may be \
             only in the table now: docs/RECOVERY.md"
        ),
    )
}

/// Decoding sees the catalog as it was when the row was written: making the publication again does not help.
fn jammed(settings: &PostgresSettings, message: String) -> Fault {
    let PostgresSettings { publication, slot, .. } = settings;
    Fault::new(
        FaultCode::PublicationMissing,
        message,
        format!(
            "once publication {publication} is there again (`outbox-relay migrate`): rows written while it was missing \
             cannot be decoded, and slot {slot} stays in front of them; make it anew (`outbox-relay slot drop --yes`, \
             `outbox-relay slot create`), then publish again from the outbox table what is missing: docs/RECOVERY.md \
             says how"
        ),
    )
}

/// A notice that means that no events come: rows are being skipped (PostgreSQL 18), or, transient, held back. Others are
/// `None`.
pub fn notice_fault(notice: &ServerError, settings: &PostgresSettings) -> Option<Fault> {
    match notice.routine.as_deref()? {
        "LoadPublications" => Some(jammed(settings, format!("PostgreSQL skips rows: {notice}"))),
        "StandbySlotsHaveCaughtup" => Some(Fault::new(
            FaultCode::WaitingForStandby,
            format!("PostgreSQL holds events back until a standby has them: {notice}"),
            "bring the standby back, or take its slot out of synchronized_standby_slots",
        )),
        _ => None,
    }
}

/// Where the server is, for messages.
pub fn place(settings: &PostgresSettings) -> String {
    let PostgresSettings { hosts, database, .. } = settings;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    format!("{}/{database}", hosts.join(","))
}

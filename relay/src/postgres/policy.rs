//! What is said of PostgreSQL's errors. Which fault each of them is, is [`policy`]'s.

use outbox_decoder::DecodeError;

use crate::config::PostgresSettings;
use crate::fault::policy::{self, Trouble};
use crate::fault::{Fault, FaultCode};
use crate::postgres::error::{PostgresError, ServerError, TlsError};

/// The fault that an error means.
pub fn fault(error: &PostgresError, settings: &PostgresSettings) -> Fault {
    let message = format!("PostgreSQL {}: {error}", place(settings));
    let error = error.innermost();
    let code = code(error);
    Fault::new(code, message, hint(code, error, settings))
}

fn code(error: &PostgresError) -> FaultCode {
    if is_said_behind_a_pooler(error) {
        return policy::of_connection(Trouble::Pooler);
    }
    match (error, error.sqlstate()) {
        (PostgresError::Server(server), Some(sqlstate)) => policy::of_sqlstate(sqlstate, server.routine.as_deref()),
        (_, Some(sqlstate)) => policy::of_sqlstate(sqlstate, None),
        (_, None) => policy::of_connection(trouble(error)),
    }
}

fn trouble(error: &PostgresError) -> Trouble {
    match error {
        PostgresError::Tls(_) => Trouble::Tls,
        PostgresError::ChannelBinding(_) => Trouble::ChannelBinding,
        PostgresError::Authentication(_) | PostgresError::Scram(_) => Trouble::Authentication,
        PostgresError::NoPassword => Trouble::NoPassword,
        PostgresError::Secret(_) => Trouble::Secret,
        PostgresError::Decode(DecodeError::FrameTooLarge { .. }) => Trouble::RowTooLarge,
        PostgresError::Standby(_) => Trouble::Standby,
        PostgresError::Decode(_) | PostgresError::Unexpected { .. } => Trouble::Malformed,
        PostgresError::Io(_)
        | PostgresError::Closed
        | PostgresError::TimedOut { .. }
        | PostgresError::Server(_)
        | PostgresError::At { .. }
        | PostgresError::Control(_) => Trouble::Broken,
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

/// What to do next, in the case at hand.
fn hint(code: FaultCode, error: &PostgresError, settings: &PostgresSettings) -> String {
    let PostgresSettings { user, slot, .. } = settings;
    match code {
        FaultCode::PostgresPoolerInTheWay => {
            "name PostgreSQL itself in postgres.host and postgres.port: a pooler (PgBouncer before 1.23, or one that \
             changes sessions at each transaction) cannot carry a replication stream"
        }
        FaultCode::PublicationMissing => return jammed_hint(settings),
        FaultCode::SlotMissing => return slot_missing_hint(settings),
        FaultCode::PostgresAuthenticationFailed => return authentication_hint(error, settings),
        FaultCode::PostgresNotPermitted if matches!(error, PostgresError::Control(_)) => {
            return format!(
                "log in as the relay's role, or run `outbox-relay migrate`, which gives role {user} what it needs"
            );
        }
        FaultCode::PostgresNotPermitted => {
            return format!(
                "ALTER ROLE {user} REPLICATION (on Amazon RDS: GRANT rds_replication TO {user}); run `outbox-relay \
                 migrate` for the other grants"
            );
        }
        FaultCode::SlotUnusable => {
            return format!("look at pg_replication_slots for slot {slot}: wal_status and database say why");
        }
        FaultCode::PostgresTlsFailed => match error {
            PostgresError::Tls(tls) => tls_hint(tls),
            _ => "compare the TLS settings of both sides",
        },
        FaultCode::PostgresDatabaseMissing => "correct postgres.database, or create it",
        FaultCode::SchemaNotMigrated => "run `outbox-relay migrate`",
        FaultCode::PostgresChannelBindingMissing => {
            "look for a proxy that ends TLS in between; if it belongs there, set postgres.channel_binding to prefer"
        }
        FaultCode::PostgresPasswordUnreadable => "make the file readable for the relay",
        FaultCode::RowTooLarge => "raise postgres.frame_bytes_max and restart the relay; nothing is lost",
        FaultCode::PostgresIsStandby => {
            "nothing while a failover is under way; otherwise name the primary in postgres.host, or all of the servers"
        }
        FaultCode::PostgresProtocolViolation => {
            "check that PostgreSQL itself answers at postgres.host and postgres.port; look for a pooler or proxy in between"
        }
        FaultCode::PostgresRefused => {
            "the server's message says why (53300: raise max_connections or max_wal_senders; 53400: raise \
             max_replication_slots; 55006: stop what uses the slot; 08P01: a pooler refused, connect to PostgreSQL \
             itself)"
        }
        _ => "check postgres.host, postgres.port and the network, unless the server is just restarting",
    }
    .to_owned()
}

fn authentication_hint(error: &PostgresError, settings: &PostgresSettings) -> String {
    let PostgresSettings { user, database, .. } = settings;
    let rule = format!("a line for role {user} and database {database}, not the keyword replication");
    match (error, error.sqlstate()) {
        (PostgresError::NoPassword, _) => "set postgres.password_file".to_owned(),
        (_, None) => format!(
            "give role {user} a SCRAM-SHA-256 password (password_encryption = scram-sha-256) and pg_hba.conf the method \
             scram-sha-256"
        ),
        (_, Some("28000")) => format!(
            "check postgres.user (role {user} needs LOGIN) and pg_hba.conf ({rule}); where the server wants a \
             certificate, postgres.tls_certificate_file with the role as its common name"
        ),
        (_, Some(_)) => format!(
            "check postgres.user, postgres.password_file and pg_hba.conf ({rule}); `outbox-relay migrate --user OWNER \
             --set-password` makes the role and gives it the configured password"
        ),
    }
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

fn slot_missing_hint(settings: &PostgresSettings) -> String {
    let slot = &settings.slot;
    format!(
        "run `outbox-relay slot create` once the outbox is migrated; if slot {slot} existed before, `outbox-relay recover` \
         in its place: events may be only in the table now"
    )
}

/// Decoding sees the catalog as it was when the row was written: making the publication again does not help.
fn jammed_hint(settings: &PostgresSettings) -> String {
    let PostgresSettings { publication, slot, .. } = settings;
    format!(
        "once publication {publication} is there again (`outbox-relay migrate`): rows written while it was missing cannot \
         be decoded, and slot {slot} stays in front of them; make it anew, and publish from the outbox table what is missing \
         (`outbox-relay slot drop --yes`, then `outbox-relay recover`): docs/RECOVERY.md"
    )
}

/// A notice that means that no events come: rows are being skipped (PostgreSQL 18), or, transient, held back. Others are
/// `None`.
pub fn notice_fault(notice: &ServerError, settings: &PostgresSettings) -> Option<Fault> {
    let code = policy::of_notice(notice.routine.as_deref()?)?;
    Some(match code {
        FaultCode::WaitingForStandby => Fault::new(
            code,
            format!("PostgreSQL holds events back until a standby has them: {notice}"),
            "bring the standby back, or take its slot out of synchronized_standby_slots",
        ),
        _ => Fault::new(code, format!("PostgreSQL skips rows: {notice}"), jammed_hint(settings)),
    })
}

/// Where the server is, for messages.
pub fn place(settings: &PostgresSettings) -> String {
    let PostgresSettings { hosts, database, .. } = settings;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    format!("{}/{database}", hosts.join(","))
}

//! What each of PostgreSQL's errors means for the relay. Decided by SQLSTATE, never by a text, which may be translated.
//!
//! Source: PostgreSQL documentation, "PostgreSQL Error Codes". What is not listed is transient.

use outbox_decoder::DecodeError;

use crate::config::PostgresSettings;
use crate::fault::Fault;
use crate::postgres::error::{PostgresError, ServerError, TlsError};

/// The fault that an error means.
pub fn fault(error: &PostgresError, settings: &PostgresSettings) -> Fault {
    let PostgresSettings {
        user, database, slot, ..
    } = settings;
    let message = format!("PostgreSQL {}: {error}", place(settings));
    let error = error.innermost();
    match (error, error.sqlstate()) {
        (PostgresError::Tls(tls), _) => Fault::environment("postgres_tls_failed", message, tls_hint(tls)),
        (PostgresError::ChannelBinding(_), _) => Fault::environment(
            "postgres_channel_binding_missing",
            message,
            "look for a proxy that ends TLS in between; if it belongs there, set postgres.channel_binding to prefer",
        ),
        (PostgresError::Standby(_), _) => Fault::transient(
            "postgres_is_standby",
            message,
            "nothing while a failover is under way; otherwise name the primary in postgres.host, or all of the servers",
        ),
        (PostgresError::Authentication(_) | PostgresError::Scram(_), _) => Fault::environment(
            "postgres_authentication_failed",
            message,
            format!(
                "give role {user} a SCRAM-SHA-256 password (password_encryption = scram-sha-256) and pg_hba.conf \
                     the method scram-sha-256"
            ),
        ),
        (PostgresError::NoPassword, _) => {
            Fault::environment("postgres_authentication_failed", message, "set postgres.password_file")
        }
        (PostgresError::Secret(_), _) => Fault::environment(
            "postgres_password_unreadable",
            message,
            "make the file readable for the relay",
        ),
        (_, Some("28000")) => Fault::environment(
            "postgres_authentication_failed",
            message,
            format!(
                "check postgres.user and pg_hba.conf (a line for role {user} and database {database}, not the keyword \
                     replication); where the server wants a certificate, postgres.tls_certificate_file with the role \
                     as its common name"
            ),
        ),
        (_, Some("28P01")) => Fault::environment(
            "postgres_authentication_failed",
            message,
            format!(
                "check postgres.user, postgres.password_file and pg_hba.conf (a line for role {user} and database \
                     {database}, not the keyword replication); `outbox-relay migrate --user OWNER --set-password` \
                     makes the role and gives it the configured password"
            ),
        ),
        (_, Some("3D000")) => Fault::environment(
            "postgres_database_missing",
            message,
            "correct postgres.database, or create it",
        ),
        (_, Some("42501")) => Fault::environment(
            "postgres_not_permitted",
            message,
            format!(
                "ALTER ROLE {user} REPLICATION (on Amazon RDS: GRANT rds_replication TO {user}); run \
                     `outbox-relay migrate` for the other grants"
            ),
        ),
        (_, Some("42P01" | "3F000")) => {
            Fault::environment("schema_not_migrated", message, "run `outbox-relay migrate`")
        }
        (PostgresError::Server(server), Some("42704")) if server.routine.as_deref() == Some("get_publication_oid") => {
            jammed(settings, message)
        }
        (_, Some("42704")) => Fault::environment(
            "slot_missing",
            message,
            format!(
                "run `outbox-relay slot create` once the outbox is migrated; if slot {slot} existed before, events \
                     may be lost: look for them before you create it anew"
            ),
        ),
        (_, Some("55000")) => Fault::environment(
            "slot_unusable",
            message,
            format!("look at pg_replication_slots for slot {slot}: wal_status and database say why"),
        ),
        (PostgresError::Decode(DecodeError::FrameTooLarge { .. }), _) => Fault::environment(
            "row_too_large",
            message,
            "raise postgres.frame_bytes_max and restart the relay; nothing is lost",
        ),
        (PostgresError::Decode(_) | PostgresError::Unexpected { .. }, _) => Fault::transient(
            "postgres_protocol_violation",
            message,
            "look for a pooler or proxy in between, and connect to PostgreSQL itself",
        ),
        // Also a server that starts or stops (57P01, 57P03): then there is nothing to do.
        (_, Some(sqlstate)) if !sqlstate.starts_with("57P") => Fault::transient(
            "postgres_refused",
            message,
            "the server's message says why (53300: raise max_connections or max_wal_senders; 53400: raise \
             max_replication_slots; 55006: stop what uses the slot)",
        ),
        _ => Fault::transient(
            "postgres_unreachable",
            message,
            "check postgres.host, postgres.port and the network, unless the server is just restarting",
        ),
    }
}

fn tls_hint(error: &TlsError) -> &'static str {
    match error {
        TlsError::NotOffered => {
            "switch TLS on at the server (ssl = on); on a network that nobody else reaches, postgres.tls_mode = disable"
        }
        TlsError::File { .. } => "give a PEM file that the relay's user can read, the key without a passphrase",
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

/// Decoding sees the catalog as it was when the row was written: making the publication again does not help.
fn jammed(settings: &PostgresSettings, message: String) -> Fault {
    let PostgresSettings { publication, slot, .. } = settings;
    Fault::environment(
        "publication_missing",
        message,
        format!(
            "run `outbox-relay migrate` so that publication {publication} is there again; rows written while it was \
             missing cannot be decoded and block slot {slot}: they are in the outbox table; publish them from there, \
             then go past them with pg_replication_slot_advance, or with `outbox-relay slot drop` and `slot create`"
        ),
    )
}

/// A notice that means that rows are being skipped (PostgreSQL 18). Others are `None`.
pub fn notice_fault(notice: &ServerError, settings: &PostgresSettings) -> Option<Fault> {
    (notice.routine.as_deref() == Some("LoadPublications")).then(|| {
        Fault::environment(
            "publication_missing",
            format!("PostgreSQL skips rows: {notice}"),
            format!(
                "create publication {} again with `outbox-relay migrate`; rows written while it was missing are \
                     not in the stream: look for them in the outbox table",
                settings.publication
            ),
        )
    })
}

/// Where the server is, for messages.
pub fn place(settings: &PostgresSettings) -> String {
    let PostgresSettings { hosts, database, .. } = settings;
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    format!("{}/{database}", hosts.join(","))
}

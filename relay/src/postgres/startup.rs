//! Startup packet and authentication of the replication connection.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{PostgresSettings, Secret};
use crate::postgres::error::{PostgresError, unexpected};
use crate::postgres::messages::Messages;

/// The password, read now: a rotated file counts from the next connection on.
///
/// # Errors
/// Its file cannot be read.
pub fn reveal_password(settings: &PostgresSettings) -> Result<Option<SecretString>, PostgresError> {
    let revealed = settings.password.as_ref().map(Secret::reveal).transpose();
    revealed.map_err(|error| PostgresError::Secret(error.to_string()))
}

/// Deterministic text output, and the server's own patience with a silent relay.
fn options(settings: &PostgresSettings) -> String {
    format!(
        "-c wal_sender_timeout={} -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 \
         -c bytea_output=hex -c row_security=off",
        settings.wal_sender_timeout_ms
    )
}

/// Logs in as a walsender.
pub(super) async fn log_in(
    messages: &mut Messages,
    settings: &PostgresSettings,
    password: Option<&SecretString>,
) -> Result<(), PostgresError> {
    let options = options(settings);
    let parameters = [
        ("user", settings.user.as_str()),
        ("database", &settings.database),
        ("replication", "database"),
        ("application_name", &settings.application_name),
        ("client_encoding", "UTF8"),
        ("options", &options),
    ];
    send(messages, |out| frontend::startup_message(parameters, out)).await?;
    loop {
        match messages.message().await? {
            Message::AuthenticationOk | Message::BackendKeyData(_) => {}
            Message::AuthenticationSasl(offer) => authenticate_scram(messages, &offer, password).await?,
            Message::AuthenticationCleartextPassword => {
                return Err(PostgresError::Authentication("cleartext password"));
            }
            Message::AuthenticationMd5Password(_) => return Err(PostgresError::Authentication("md5")),
            Message::AuthenticationGss | Message::AuthenticationSspi => {
                return Err(PostgresError::Authentication("GSSAPI or SSPI"));
            }
            Message::ReadyForQuery(_) => return Ok(()),
            other => return Err(unexpected(&other, "the end of the login")),
        }
    }
}

async fn authenticate_scram(
    messages: &mut Messages,
    offer: &AuthenticationSaslBody,
    password: Option<&SecretString>,
) -> Result<(), PostgresError> {
    let offers_scram = offer.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))?;
    if !offers_scram {
        return Err(PostgresError::Authentication("an unknown SASL"));
    }
    let password = password.ok_or(PostgresError::NoPassword)?;
    let mut scram = ScramSha256::new(password.expose_secret().as_bytes(), ChannelBinding::unsupported());
    send(messages, |out| {
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)
    })
    .await?;
    match messages.message().await? {
        Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(PostgresError::Scram)?,
        other => return Err(unexpected(&other, "a SCRAM challenge")),
    }
    send(messages, |out| frontend::sasl_response(scram.message(), out)).await?;
    match messages.message().await? {
        // Checks the server's signature: a server that does not know the password ends here.
        Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(PostgresError::Scram),
        other => Err(unexpected(&other, "a SCRAM signature")),
    }
}

async fn send(
    messages: &mut Messages,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<(), PostgresError> {
    let mut out = BytesMut::new();
    write(&mut out)?;
    messages.write(&out).await
}

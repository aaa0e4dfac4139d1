//! Startup packet and authentication of the replication connection.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{PostgresSettings, Secret};
use crate::postgres::error::PostgresError;
use crate::postgres::replication::ReplicationConnection;

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

impl ReplicationConnection {
    /// Logs in as a walsender.
    pub(super) async fn start_up(
        &mut self,
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
        self.send(|out| frontend::startup_message(parameters, out)).await?;
        loop {
            match self.message().await? {
                Message::AuthenticationOk | Message::BackendKeyData(_) => {}
                Message::AuthenticationSasl(body) => self.authenticate_scram(&body, password).await?,
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
        &mut self,
        offer: &AuthenticationSaslBody,
        password: Option<&SecretString>,
    ) -> Result<(), PostgresError> {
        let offers_scram = offer.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))?;
        if !offers_scram {
            return Err(PostgresError::Authentication("an unknown SASL"));
        }
        let password = password.ok_or(PostgresError::NoPassword)?;
        let mut scram = ScramSha256::new(password.expose_secret().as_bytes(), ChannelBinding::unsupported());
        self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out))
            .await?;
        match self.message().await? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(PostgresError::Scram)?,
            other => return Err(unexpected(&other, "a SCRAM challenge")),
        }
        self.send(|out| frontend::sasl_response(scram.message(), out)).await?;
        match self.message().await? {
            // Checks the server's signature: a server that does not know the password ends here.
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(PostgresError::Scram),
            other => Err(unexpected(&other, "a SCRAM signature")),
        }
    }

    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<(), PostgresError> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        self.write(&out).await
    }
}

pub(super) fn unexpected(message: &Message, wanted: &'static str) -> PostgresError {
    let got = match message {
        Message::AuthenticationOk => "AuthenticationOk",
        Message::CommandComplete(_) => "CommandComplete",
        Message::CopyData(_) => "CopyData",
        Message::CopyDone => "CopyDone",
        Message::DataRow(_) => "DataRow",
        Message::ReadyForQuery(_) => "ReadyForQuery",
        Message::RowDescription(_) => "RowDescription",
        _ => "another message",
    };
    PostgresError::Unexpected {
        got: got.to_owned(),
        wanted,
    }
}

//! Startup packet and authentication of the replication connection.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{ChannelBindingMode, Host, PostgresSettings};
use crate::postgres::error::{PostgresError, unexpected};
use crate::postgres::messages::Messages;
use crate::postgres::passfile;

/// The password for one host, read now: a rotated file counts from the next connection on.
///
/// # Errors
/// Its file cannot be read.
pub(super) fn reveal_password(settings: &PostgresSettings, host: &Host) -> Result<Option<SecretString>, PostgresError> {
    match (&settings.password, &settings.passfile) {
        (Some(secret), _) => secret
            .reveal()
            .map(Some)
            .map_err(|error| PostgresError::Secret(error.to_string())),
        (None, Some(path)) => passfile::look_up(path, host, &settings.database, &settings.user),
        (None, None) => Ok(None),
    }
}

pub(super) const NOTHING_TO_BIND_TO: &str =
    "this connection has nothing to bind to (no TLS, or a certificate signed with Ed25519 or RSA-PSS)";

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
    let mut login = Login {
        settings,
        password,
        is_bound: false,
    };
    loop {
        match messages.message().await? {
            Message::AuthenticationOk => login.check_bound()?,
            Message::BackendKeyData(_) => {}
            Message::AuthenticationSasl(offer) => login.scram(messages, &offer).await?,
            Message::AuthenticationCleartextPassword => login.cleartext(messages).await?,
            Message::AuthenticationMd5Password(body) => login.md5(messages, body.salt()).await?,
            Message::AuthenticationGss | Message::AuthenticationSspi => {
                return Err(PostgresError::Authentication("GSSAPI or SSPI"));
            }
            Message::ReadyForQuery(_) => return Ok(()),
            other => return Err(unexpected(&other, "the end of the login")),
        }
    }
}

/// What the relay is willing to answer.
struct Login<'a> {
    settings: &'a PostgresSettings,
    password: Option<&'a SecretString>,
    /// The login is bound to the encrypted connection: nobody stands in between.
    is_bound: bool,
}

impl Login<'_> {
    fn password(&self) -> Result<&[u8], PostgresError> {
        let password = self.password.ok_or(PostgresError::NoPassword)?;
        Ok(password.expose_secret().as_bytes())
    }

    fn check_bound(&self) -> Result<(), PostgresError> {
        if self.settings.channel_binding == ChannelBindingMode::Require && !self.is_bound {
            return Err(PostgresError::ChannelBinding("the server let the relay in without it"));
        }
        Ok(())
    }

    async fn cleartext(&self, messages: &mut Messages) -> Result<(), PostgresError> {
        if !self.settings.password_methods.cleartext {
            return Err(PostgresError::Authentication("cleartext password"));
        }
        let password = self.password()?;
        send(messages, |out| frontend::password_message(password, out)).await
    }

    async fn md5(&self, messages: &mut Messages, salt: [u8; 4]) -> Result<(), PostgresError> {
        if !self.settings.password_methods.md5 {
            return Err(PostgresError::Authentication("md5"));
        }
        let hash = md5_hash(self.settings.user.as_bytes(), self.password()?, salt);
        send(messages, |out| frontend::password_message(hash.as_bytes(), out)).await
    }

    async fn scram(&mut self, messages: &mut Messages, offer: &AuthenticationSaslBody) -> Result<(), PostgresError> {
        let offered: Vec<String> = offer.mechanisms().map(|name| Ok(name.to_owned())).collect()?;
        let binding = messages.socket.channel_binding();
        let (mechanism, binding) = mechanism(&offered, binding, self.settings.channel_binding)?;
        let mut scram = ScramSha256::new(self.password()?, binding);
        send(messages, |out| {
            frontend::sasl_initial_response(mechanism, scram.message(), out)
        })
        .await?;
        match messages.message().await? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(PostgresError::Scram)?,
            other => return Err(unexpected(&other, "a SCRAM challenge")),
        }
        send(messages, |out| frontend::sasl_response(scram.message(), out)).await?;
        match messages.message().await? {
            // Checks the server's signature: a server that does not know the password ends here.
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(PostgresError::Scram)?,
            other => return Err(unexpected(&other, "a SCRAM signature")),
        }
        self.is_bound = mechanism == SCRAM_SHA_256_PLUS;
        Ok(())
    }
}

/// Which mechanism, bound to what. Saying that the relay could have bound exposes somebody who struck the better
/// mechanism out of the server's offer.
fn mechanism(
    offered: &[String],
    binding: Option<Vec<u8>>,
    mode: ChannelBindingMode,
) -> Result<(&'static str, ChannelBinding), PostgresError> {
    let offers = |mechanism: &str| offered.iter().any(|name| name == mechanism);
    let is_required = mode == ChannelBindingMode::Require;
    match binding.filter(|_| mode != ChannelBindingMode::Disable) {
        Some(hash) if offers(SCRAM_SHA_256_PLUS) => {
            Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash)))
        }
        Some(_) if is_required => Err(PostgresError::ChannelBinding("the server does not offer it")),
        None if is_required => Err(PostgresError::ChannelBinding(NOTHING_TO_BIND_TO)),
        _ if !offers(SCRAM_SHA_256) => Err(PostgresError::Authentication("an unknown SASL")),
        Some(_) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(offered: &[&str], can_bind: bool, mode: ChannelBindingMode) -> Result<&'static str, String> {
        let offered: Vec<String> = offered.iter().map(|&name| name.to_owned()).collect();
        mechanism(&offered, can_bind.then(|| vec![1]), mode)
            .map(|(mechanism, _)| mechanism)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_login_is_bound_to_the_connection_wherever_both_sides_can() {
        let both = [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
        assert_eq!(chosen(&both, true, ChannelBindingMode::Prefer), Ok(SCRAM_SHA_256_PLUS));
        assert_eq!(chosen(&both, true, ChannelBindingMode::Require), Ok(SCRAM_SHA_256_PLUS));
        assert_eq!(chosen(&both, true, ChannelBindingMode::Disable), Ok(SCRAM_SHA_256));
        assert_eq!(chosen(&both, false, ChannelBindingMode::Prefer), Ok(SCRAM_SHA_256));
        assert_eq!(
            chosen(&[SCRAM_SHA_256], true, ChannelBindingMode::Prefer),
            Ok(SCRAM_SHA_256)
        );
    }

    #[test]
    fn where_binding_is_required_nothing_less_will_do() {
        for (offered, can_bind) in [
            (&[SCRAM_SHA_256][..], true),
            (&[SCRAM_SHA_256_PLUS, SCRAM_SHA_256], false),
        ] {
            let refused = chosen(offered, can_bind, ChannelBindingMode::Require);
            assert!(refused.is_err_and(|error| error.contains("postgres.channel_binding is require")));
        }
    }
}

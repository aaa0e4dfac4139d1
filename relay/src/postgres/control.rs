//! The control connection: ordinary SQL beside the stream. It also hears of a shutdown that the stream does not.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as Binding, SslMode, SslNegotiation};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};

use crate::config::{ChannelBindingMode, Host, PostgresSettings, TargetSession};
use crate::fault::FaultKind;
use crate::postgres::error::{PostgresError, late_refusal};
use crate::postgres::guard::{ANSWER_BYTES_MAX, Forbidden, Guarded};
use crate::postgres::policy;
use crate::postgres::socket::Socket;
use crate::postgres::startup::{NOTHING_TO_BIND_TO, reveal_password};
use crate::telemetry::{Metrics, SlotFigures};

/// A connection for SQL.
#[derive(Debug)]
pub struct Control {
    client: Arc<Client>,
    host: Host,
    address: Option<SocketAddr>,
    ended: Option<oneshot::Receiver<PostgresError>>,
}

impl Control {
    /// Connects and logs in to the first host that will do.
    ///
    /// # Errors
    /// See [`PostgresError`]: what the last host said, or the one before it, if that needs somebody.
    pub async fn connect(settings: &PostgresSettings, purpose: &str) -> Result<Self, PostgresError> {
        Self::connect_for(settings, purpose, ANSWER_BYTES_MAX).await
    }

    /// The same, to read outbox rows: an answer may be as large as a row may.
    ///
    /// # Errors
    /// Those of [`Control::connect`].
    pub async fn connect_for_rows(settings: &PostgresSettings, purpose: &str) -> Result<Self, PostgresError> {
        let row_bytes_max = u32::try_from(settings.frame_bytes_max).unwrap_or(u32::MAX);
        Self::connect_for(settings, purpose, row_bytes_max.max(ANSWER_BYTES_MAX)).await
    }

    async fn connect_for(
        settings: &PostgresSettings,
        purpose: &str,
        answer_bytes_max: u32,
    ) -> Result<Self, PostgresError> {
        let mut failed = None;
        for host in &settings.hosts {
            match Self::connect_to(settings, host, purpose, answer_bytes_max).await {
                Ok(control) => return Ok(control),
                Err(error) if settings.hosts.len() > 1 => {
                    tracing::debug!(%host, "not this one: {error}");
                    let error = PostgresError::At {
                        host: host.clone(),
                        error: Box::new(error),
                    };
                    let needs_somebody =
                        |error: &PostgresError| policy::fault(error, settings).kind() == FaultKind::Environment;
                    failed = Some(failed.filter(needs_somebody).unwrap_or(error));
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or(PostgresError::Closed))
    }

    /// Connects to where another connection goes, and to no other server of that name.
    ///
    /// # Errors
    /// See [`PostgresError`].
    pub async fn connect_exactly(
        settings: &PostgresSettings,
        host: &Host,
        address: Option<SocketAddr>,
        purpose: &str,
    ) -> Result<Self, PostgresError> {
        in_time(settings, log_in(settings, host, address, purpose, ANSWER_BYTES_MAX)).await
    }

    async fn connect_to(
        settings: &PostgresSettings,
        host: &Host,
        purpose: &str,
        answer_bytes_max: u32,
    ) -> Result<Self, PostgresError> {
        let connect = async {
            let control = log_in(settings, host, None, purpose, answer_bytes_max).await?;
            if settings.target == TargetSession::ReadWrite && control.is_standby().await? {
                return Err(PostgresError::Standby(host.to_string()));
            }
            Ok(control)
        };
        in_time(settings, connect).await
    }

    async fn is_standby(&self) -> Result<bool, PostgresError> {
        let row = self.client.query_one("SELECT pg_is_in_recovery()", &[]).await?;
        Ok(row.try_get(0)?)
    }

    /// Has the server end the session soon after its client is gone, or stands still within a transaction: others wait for the
    /// locks that it holds.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn let_go_when_gone(&self) -> Result<(), PostgresError> {
        let settings = "SET idle_in_transaction_session_timeout = '30s'; SET tcp_keepalives_idle = 30;
             SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
        Ok(self.client.batch_execute(settings).await?)
    }

    /// Who was connected to.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Where that is: its name may lead to several servers. A unix socket has no address.
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The SQL client.
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The SQL client alone, for a library that runs transactions on it; `None` while it is shared.
    pub fn into_client(self) -> Option<Client> {
        Arc::into_inner(self.client)
    }

    /// Whether the connection has not ended.
    pub const fn is_open(&self) -> bool {
        self.ended.is_some()
    }

    /// Waits for the end of the connection, once; then for ever. A fast shutdown ends it at once, while the walsender
    /// waits for the relay.
    pub async fn ended(&mut self) -> PostgresError {
        match &mut self.ended {
            Some(ended) => {
                let error = ended.await.unwrap_or(PostgresError::Closed);
                self.ended = None;
                error
            }
            None => std::future::pending().await,
        }
    }
}

async fn in_time(
    settings: &PostgresSettings,
    connect: impl Future<Output = Result<Control, PostgresError>>,
) -> Result<Control, PostgresError> {
    let timeout_ms = settings.connect_timeout_ms;
    let connected = timeout(Duration::from_millis(timeout_ms), connect).await;
    connected.unwrap_or(Err(PostgresError::TimedOut {
        what: "connecting",
        timeout_ms,
    }))
}

async fn log_in(
    settings: &PostgresSettings,
    host: &Host,
    address: Option<SocketAddr>,
    purpose: &str,
    answer_bytes_max: u32,
) -> Result<Control, PostgresError> {
    let password = reveal_password(settings, host)?;
    let socket = Socket::connect(settings, host, address).await?;
    let address = socket.address();
    if settings.channel_binding == ChannelBindingMode::Require && socket.channel_binding().is_none() {
        return Err(PostgresError::ChannelBinding(NOTHING_TO_BIND_TO));
    }
    let config = config(settings, password.as_ref(), matches!(socket, Socket::Tls(_)), purpose);
    let stream = Guarded::new(socket, settings.password_methods, answer_bytes_max);
    let connected = config.connect_raw(stream, AlreadySecure).await;
    let (client, connection) = connected.map_err(|error| meaning(error, password.is_some()))?;
    let (tell, ended) = oneshot::channel();
    tokio::spawn(async move {
        let ended = |error| forbidden(&error).unwrap_or(PostgresError::Control(error));
        let error = connection.await.err().map_or(PostgresError::Closed, ended);
        // Nobody listens any more when the session is over.
        let _ = tell.send(error);
    });
    Ok(Control {
        client: Arc::new(client),
        host: host.clone(),
        address,
        ended: Some(ended),
    })
}

fn config(settings: &PostgresSettings, password: Option<&SecretString>, is_encrypted: bool, purpose: &str) -> Config {
    let mut config = Config::new();
    config
        .dbname(&settings.database)
        .user(&settings.user)
        .application_name(format!("{} {purpose}", settings.application_name))
        .channel_binding(match settings.channel_binding {
            ChannelBindingMode::Disable => Binding::Disable,
            ChannelBindingMode::Prefer => Binding::Prefer,
            ChannelBindingMode::Require => Binding::Require,
        });
    if let Some(password) = password {
        config.password(password.expose_secret());
    }
    if is_encrypted {
        // It is: the driver shall neither ask for TLS nor leave it out.
        config
            .ssl_mode(SslMode::Require)
            .ssl_negotiation(SslNegotiation::Direct);
    } else {
        config.ssl_mode(SslMode::Disable);
    }
    config
}

/// What a failed login of the driver means. It wraps what the guard and TLS said, and what it says of its own has neither
/// a code nor a type; the texts are those of the version in Cargo.lock, and each has a test.
fn meaning(error: tokio_postgres::Error, has_password: bool) -> PostgresError {
    if let Some(said) = io_cause(&error).and_then(late_refusal) {
        return said.into();
    }
    if let Some(forbidden) = forbidden(&error) {
        return forbidden;
    }
    let text = error.to_string();
    let why = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    if text.starts_with("unexpected message") {
        let got = "another message".to_owned();
        PostgresError::Unexpected {
            got,
            wanted: "a step of the login",
        }
    } else if text.starts_with("invalid configuration") && !has_password {
        PostgresError::NoPassword
    } else if !text.starts_with("authentication error") {
        PostgresError::Control(error)
    } else if why.contains("channel binding") {
        PostgresError::ChannelBinding("the server does not offer it, or let the relay in without it")
    } else if why.contains("unsupported") {
        PostgresError::Authentication("GSSAPI, SSPI or an unknown SASL")
    } else {
        PostgresError::Scram(io::Error::other(why))
    }
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// What the guard stopped, if that is what the driver ended with.
fn forbidden(error: &tokio_postgres::Error) -> Option<PostgresError> {
    let forbidden = io_cause(error)?.get_ref()?.downcast_ref::<Forbidden>()?;
    Some(match forbidden {
        Forbidden::Cleartext => PostgresError::Authentication("cleartext password"),
        Forbidden::Md5 => PostgresError::Authentication("md5"),
        // Such as a web server's words, read as a length.
        Forbidden::TooLarge { bytes, .. } => PostgresError::Unexpected {
            got: format!("what would be a message of {bytes} bytes"),
            wanted: "an answer of PostgreSQL",
        },
    })
}

/// Hands the driver a stream that the relay has encrypted itself, by the same policy as the replication connection.
struct AlreadySecure;

impl TlsConnect<Guarded<Socket>> for AlreadySecure {
    type Stream = Guarded<Socket>;
    type Error = io::Error;
    type Future = Ready<io::Result<Guarded<Socket>>>;

    fn connect(self, stream: Guarded<Socket>) -> Self::Future {
        ready(Ok(stream))
    }
}

impl TlsStream for Guarded<Socket> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream()
            .channel_binding()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Shows as metrics what the server says of a slot.
///
/// # Errors
/// The statement failed.
pub async fn show_slot(client: &Client, slot: &str, metrics: &Metrics) -> Result<Option<SlotFigures>, PostgresError> {
    let figures = slot_figures(client, slot).await?;
    match &figures {
        Some(figures) => metrics.show_slot(figures),
        None => metrics.forget_slot(),
    }
    Ok(figures)
}

/// What the server says of a slot; `None` when it does not exist.
///
/// # Errors
/// The statement failed.
pub async fn slot_figures(client: &Client, slot: &str) -> Result<Option<SlotFigures>, PostgresError> {
    let row = client
        .query_opt(
            "SELECT coalesce(wal_status, ''), safe_wal_size::float8, active,
                    coalesce(pg_wal_lsn_diff(here, confirmed_flush_lsn), 0)::float8,
                    coalesce(pg_wal_lsn_diff(here, restart_lsn), 0)::float8, confirmed_flush_lsn::text
             FROM pg_replication_slots,
                  LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                       ELSE pg_current_wal_lsn() END) AS wal (here)
             WHERE slot_name = $1",
            &[&slot],
        )
        .await?;
    row.map(|row| {
        let confirmed: Option<&str> = row.try_get(5)?;
        let wal_status: String = row.try_get(0)?;
        // Of a lost slot the server gives the same as without a limit: nothing.
        let lost = (wal_status == "lost").then_some(0.0);
        Ok(SlotFigures {
            confirmed: confirmed.and_then(|lsn| lsn.parse().ok()),
            wal_status,
            safe_wal_bytes: lost.or(row.try_get(1)?),
            active: row.try_get(2)?,
            lag_bytes: row.try_get::<_, f64>(3)?.max(0.0),
            retained_wal_bytes: row.try_get::<_, f64>(4)?.max(0.0),
        })
    })
    .transpose()
}

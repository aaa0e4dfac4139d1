//! The bare connection: TCP or a unix socket.
//!
//! TLS belongs here, between this socket and whoever reads frames from it. The lazy wait of [`super::pace`] stays below
//! it, on the raw socket: TLS hands out at most 16 KiB at a time.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};

use crate::config::PostgresSettings;

const KEEPALIVE_IDLE_S: u64 = 30;
const KEEPALIVE_INTERVAL_S: u64 = 10;

/// A connected stream.
#[derive(Debug)]
pub(super) enum Socket {
    /// Over the network.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

impl Socket {
    pub(super) async fn connect(settings: &PostgresSettings) -> io::Result<Self> {
        let PostgresSettings { host, port, .. } = settings;
        if host.starts_with('/') {
            let path = Path::new(host).join(format!(".s.PGSQL.{port}"));
            return UnixStream::connect(path).await.map(Self::Unix);
        }
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(KEEPALIVE_IDLE_S))
            .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S));
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(Duration::from_millis(settings.wal_sender_timeout_ms)))?;
        Ok(Self::Tcp(stream))
    }

    pub(super) const fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Waits until there is something to read, or the other side is gone.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Reads what is there into the buffer's spare room; `WouldBlock` when nothing is. 0 bytes mean the end.
    pub(super) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }
}

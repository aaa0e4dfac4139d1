//! The bare connection: TCP, TLS over TCP, or a unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::config::{Host, PostgresSettings, TlsMode};
use crate::postgres::error::PostgresError;
use crate::postgres::tls;

const KEEPALIVE_IDLE_S: u64 = 30;
const KEEPALIVE_INTERVAL_S: u64 = 10;

/// A connected stream.
#[derive(Debug)]
pub(super) enum Socket {
    /// Over the network, in the clear.
    Tcp(TcpStream),
    /// Over the network, encrypted.
    Tls(Box<SslStream<TcpStream>>),
    /// On this machine.
    Unix(UnixStream),
}

impl Socket {
    /// Connects; over the network with TLS as the settings say. Both connections of the relay come from here, so that
    /// they cannot differ in what they trust.
    pub(super) async fn connect(
        settings: &PostgresSettings,
        host: &Host,
        address: Option<SocketAddr>,
    ) -> Result<Self, PostgresError> {
        let Host { name, port } = host;
        if name.starts_with('/') {
            let path = Path::new(name).join(format!(".s.PGSQL.{port}"));
            return Ok(Self::Unix(UnixStream::connect(path).await?));
        }
        let stream = match address {
            Some(address) => TcpStream::connect(address).await?,
            None => connect_by_name(name, *port, settings.connect_timeout_ms).await?,
        };
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(KEEPALIVE_IDLE_S))
            .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S));
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(Duration::from_millis(settings.wal_sender_timeout_ms)))?;
        if settings.tls.mode == TlsMode::Disable {
            return Ok(Self::Tcp(stream));
        }
        Ok(Self::Tls(Box::new(tls::secure(stream, &settings.tls, name).await?)))
    }

    /// The server's address; a unix socket has none.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Tls(stream) => stream.get_ref().peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Whether waiting before a read lets the other side send more at once: a unix socket's buffer is too small.
    pub(super) const fn is_network(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Tls(_))
    }

    /// What binds a login to this encrypted connection (RFC 5929, `tls-server-end-point`); `None` where nothing can.
    pub(super) fn channel_binding(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tls(stream) => tls::server_end_point(stream.ssl()),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Waits for bytes and takes what is there into the buffer's spare room. 0 bytes mean the end. Nothing is lost when
    /// it is cancelled.
    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut bytes = self.read_buf(buffer).await?;
        // TLS hands out one record of at most 16 KiB at a time; more of them may lie there.
        while bytes > 0 && matches!(self, Self::Tls(_)) && buffer.len() < buffer.capacity() {
            match std::future::poll_fn(|cx| Poll::Ready(self.poll_more(cx, buffer))).await {
                Poll::Ready(Ok(more @ 1..)) => bytes += more,
                // An error or the end comes again with the next read.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        Ok(bytes)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let read = std::pin::pin!(self.read_buf(buffer));
        read.poll(cx)
    }
}

/// A name may have several addresses, and the first may lead nowhere: each gets its share of the time.
async fn connect_by_name(name: &str, port: u16, timeout_ms: u64) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((name, port)).await?.collect();
    let share_ms = timeout_ms / u64::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
    for address in addresses {
        match timeout(Duration::from_millis(share_ms), TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, format!("{address} did not answer")),
        }
    }
    Err(failed)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

//! Connections to the admin listener: a bounded number, and none that takes long to ask or to listen.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Others wait until one of these leaves. Each is a descriptor that the servers' connections do not get.
const GUESTS_MAX: usize = 256;
/// Longer than any client takes to say what it wants; one that keeps its connection for later connects again.
const UNANSWERED_MAX: Duration = Duration::from_secs(10);

/// Lets them in.
pub(super) struct Guests {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Guests {
    pub(super) fn at(listener: TcpListener) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(GUESTS_MAX)),
        }
    }
}

impl Listener for Guests {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let guest = Guest {
            stream,
            unanswered: Box::pin(sleep(UNANSWERED_MAX)),
            _place: place.expect("nobody closes the semaphore"),
        };
        (guest, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection, which ends by itself unless it hears something from time to time: what it says does not count, or whoever
/// says one byte after the other would keep its place for ever.
pub(super) struct Guest {
    stream: TcpStream,
    unanswered: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guest {
    /// What stands still, or is only asked for, may have lasted too long.
    fn within_time<T>(&mut self, moved: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            return moved;
        }
        ready!(self.unanswered.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, into);
        self.within_time(moved, context)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        if moved.is_ready() {
            self.unanswered.as_mut().reset(Instant::now() + UNANSWERED_MAX);
        }
        self.within_time(moved, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

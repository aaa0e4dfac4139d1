//! A door in front of a server: opened when wanted, and able to spoil what a `PostgreSQL` server streams.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Outcome};

/// Frames of the stream that pass before one is spoilt.
const FRAMES_BEFORE: usize = 100;
const COPY_BOTH_RESPONSE: u8 = b'W';
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Bytes that are put between two frames of a replication stream.
pub type Spoilt = Vec<u8>;

/// A door that passes everything on. Dropped, it closes.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    closing: AtomicBool,
    clients_met: AtomicUsize,
    spoilt: Mutex<Vec<Spoilt>>,
    clients: Mutex<Vec<Weak<TcpStream>>>,
}

impl Proxy {
    /// Opens a door at `port` to a server. Each replication stream through it is spoilt once, by the next of `spoilt`,
    /// as long as there are any.
    ///
    /// # Errors
    /// The port is taken.
    pub fn open(port: u16, server: SocketAddr, spoilt: Vec<Spoilt>) -> Outcome<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            closing: AtomicBool::new(false),
            clients_met: AtomicUsize::new(0),
            spoilt: Mutex::new(spoilt.into_iter().rev().collect()),
            clients: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            accept(&listener, &accepting.closing, |client| {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || pass(client, &shared));
            });
        });
        Ok(Proxy { port, shared })
    }

    /// The port of the door.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection there is. Whoever connects again is let in.
    pub fn cut(&self) {
        let clients = std::mem::take(&mut *self.shared.clients());
        for client in clients.iter().filter_map(Weak::upgrade) {
            // It may have ended by itself.
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Leads to another server from now on, and cuts every connection there is.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server() = server;
        self.cut();
    }

    /// How many have connected so far.
    pub fn clients_met(&self) -> usize {
        self.shared.clients_met.load(Ordering::Relaxed)
    }

    /// How many streams have yet to be spoilt.
    pub fn left(&self) -> usize {
        self.shared.spoilt().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn spoilt(&self) -> std::sync::MutexGuard<'_, Vec<Spoilt>> {
        self.spoilt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> std::sync::MutexGuard<'_, SocketAddr> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Vec<Weak<TcpStream>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands over each client until the listener, which must not block, is to close.
pub(crate) fn accept(listener: &TcpListener, closing: &AtomicBool, serve: impl Fn(TcpStream)) {
    while !closing.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => serve(client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(ACCEPT_PAUSE),
            Err(_) => return,
        }
    }
}

/// Both directions of one connection. An error is the end of the connection, as on the wire.
fn pass(mut client: TcpStream, shared: &Shared) -> Outcome {
    client.set_nonblocking(false)?;
    shared.clients_met.fetch_add(1, Ordering::Relaxed);
    let known = Arc::new(client.try_clone()?);
    shared.clients().push(Arc::downgrade(&known));
    let mut server = TcpStream::connect(*shared.server())?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let upwards = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let _ = downwards(&mut server, &mut client, shared);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    upwards
        .join()
        .map_err(|_| Failure::new("a thread of the proxy panicked"))
}

fn downwards(server: &mut TcpStream, client: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    if shared.spoilt().is_empty() {
        return io::copy(server, client).map(drop);
    }
    let mut streamed = None;
    loop {
        let frame = read_frame(server)?;
        client.write_all(&frame)?;
        if frame.first() == Some(&COPY_BOTH_RESPONSE) {
            streamed = Some(0);
        } else if let Some(frames) = &mut streamed {
            *frames += 1;
        }
        if streamed == Some(FRAMES_BEFORE)
            && let Some(spoilt) = shared.spoilt().pop()
        {
            client.write_all(&spoilt)?;
            // Nothing after it is understood, or nothing comes any more: both happen on a wire.
            return if spoilt.is_empty() {
                Ok(())
            } else {
                io::copy(server, client).map(drop)
            };
        }
    }
}

/// A tag, a length that counts itself, and the rest.
fn read_frame(server: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 5];
    server.read_exact(&mut frame)?;
    let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
    let rest = u64::from(length.saturating_sub(4));
    if server.take(rest).read_to_end(&mut frame)? as u64 != rest {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

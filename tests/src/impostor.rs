//! Somebody in front of a server who speaks for it: passes one kind of connection on and plays a script to the other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::failure::Outcome;
use crate::proxy::accept;

const STARTUP_BYTES_MAX: usize = 4096;
/// What the request for TLS holds instead of a protocol version.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Which connection of the relay hears the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// Ordinary SQL.
    Control,
    /// The walsender's.
    Replication,
    /// The first request for TLS, whoever sends it.
    TlsRequest,
}

/// What is said to a connection after its first message.
pub type Script = fn(&mut TcpStream) -> io::Result<()>;

/// A listener that plays a script to each of its victims. Dropped, it closes.
#[derive(Debug)]
pub struct Impostor {
    port: u16,
    closing: Arc<AtomicBool>,
}

impl Impostor {
    /// Stands in front of a server.
    ///
    /// # Errors
    /// No port is free.
    pub fn open(server: SocketAddr, victim: Victim, script: Script) -> Outcome<Impostor> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let closing = Arc::new(AtomicBool::new(false));
        let is_closing = Arc::clone(&closing);
        thread::spawn(move || {
            accept(&listener, &is_closing, |client| {
                thread::spawn(move || meet(client, server, victim, script));
            });
        });
        Ok(Impostor { port, closing })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

fn meet(mut client: TcpStream, server: SocketAddr, victim: Victim, script: Script) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let first = first_message(&mut client)?;
    let kind = if first.get(4..8) == Some(&SSL_REQUEST) {
        Victim::TlsRequest
    } else if first.windows(12).any(|window| window == b"replication\0") {
        Victim::Replication
    } else {
        Victim::Control
    };
    if kind == victim {
        script(&mut client)?;
        // The victim is to be the one who leaves.
        return io::copy(&mut client, &mut io::sink()).map(drop);
    }
    let mut server = TcpStream::connect(server)?;
    server.write_all(&first)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let copied = io::copy(&mut client, &mut server).map(drop);
    let _ = server.shutdown(Shutdown::Both);
    copied
}

fn first_message(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let bytes = (u32::from_be_bytes(length) as usize).clamp(4, STARTUP_BYTES_MAX);
    let mut message = vec![0; bytes];
    message[..4].copy_from_slice(&length);
    client.read_exact(&mut message[4..])?;
    Ok(message)
}

/// A message of a server.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A request for authentication: its kind, and what belongs to it.
pub fn authentication(kind: u32, body: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes(), body].concat())
}

/// Reads a message of a client, and gives its body.
///
/// # Errors
/// It left.
pub fn hear(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 5];
    client.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4) as usize;
    let mut body = vec![0; length.min(STARTUP_BYTES_MAX)];
    client.read_exact(&mut body)?;
    Ok(body)
}

//! A stretch of network with weather: it passes bytes on until it is told to hold them back, in one direction or both, or
//! to cut a connection in the middle of what it says. Only [`Weather::Theft`] takes bytes out of the middle of a connection, which
//! no network does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::failure::Outcome;
use crate::proxy::accept;

/// How soon a change of weather is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PIECE_BYTES: usize = 16 * 1024;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Clear,
    /// They pass late, by up to twice as much.
    Late(Duration),
    /// None passes in either direction, and no connection ends: nobody is told.
    BlackHole,
    /// What the server says does not arrive as long as this lasts, what the client says does: half open.
    Deaf,
    /// What the client says does not arrive as long as this lasts, what the server says does.
    Mute,
    /// The next piece of each connection passes by half, and then it ends.
    CutInside,
    /// Every connection ends, and each new one too.
    Cut,
    /// Somebody takes out the next piece that the server says, and lets the rest go on. It is clear again afterwards.
    Theft,
}

/// A port that leads to a server. Dropped, it closes.
#[derive(Debug)]
pub struct Stretch {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    weather: Mutex<Weather>,
    closing: AtomicBool,
    /// Pieces that the weather kept from arriving, or from arriving whole or in time.
    touched: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Server,
    Client,
}

impl Weather {
    fn holds(self, towards: Towards) -> bool {
        match self {
            Self::BlackHole => true,
            Self::Deaf => towards == Towards::Client,
            Self::Mute => towards == Towards::Server,
            _ => false,
        }
    }
}

impl Stretch {
    /// From a port of its own to a server.
    ///
    /// # Errors
    /// The port is taken.
    pub fn open(port: u16, server: SocketAddr) -> Outcome<Stretch> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            weather: Mutex::new(Weather::Clear),
            closing: AtomicBool::new(false),
            touched: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            accept(&listener, &accepting.closing, |client| {
                let shared = Arc::clone(&accepting);
                thread::spawn(move || connect(client, server, &shared));
            });
        });
        Ok(Stretch { port, shared })
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather() = weather;
    }

    /// How many pieces have felt it so far.
    pub fn touched(&self) -> usize {
        self.shared.touched.load(Ordering::Relaxed)
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

fn connect(client: TcpStream, server: SocketAddr, shared: &Arc<Shared>) -> Outcome {
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(server)?;
    let (up, down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let (upwards, downwards) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pass(up.0, up.1, Towards::Server, &upwards));
    thread::spawn(move || pass(down.0, down.1, Towards::Client, &downwards));
    Ok(())
}

/// An error is the end of the connection, as on the wire.
fn pass(mut from: TcpStream, mut to: TcpStream, towards: Towards, shared: &Shared) {
    let _ = pass_pieces(&mut from, &mut to, towards, shared);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn pass_pieces(from: &mut TcpStream, to: &mut TcpStream, towards: Towards, shared: &Shared) -> std::io::Result<()> {
    from.set_read_timeout(Some(LOOK_EVERY))?;
    let mut piece = vec![0; PIECE_BYTES];
    while !shared.is_closing() {
        let weather = *shared.weather();
        if weather == Weather::Cut {
            shared.touch();
            return Ok(());
        }
        // Unread, it fills the sender's buffers, as it would on the way.
        if weather.holds(towards) {
            if from.peek(&mut piece[..1]).is_ok_and(|bytes| bytes > 0) {
                shared.touch();
            }
            thread::sleep(LOOK_EVERY);
            continue;
        }
        let bytes = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        if !deliver(&piece[..bytes], to, towards, shared)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Returns whether the connection lives on.
fn deliver(piece: &[u8], to: &mut TcpStream, towards: Towards, shared: &Shared) -> std::io::Result<bool> {
    let weather = *shared.weather();
    if weather != Weather::Clear {
        shared.touch();
    }
    match weather {
        Weather::CutInside => {
            to.write_all(&piece[..piece.len() / 2])?;
            Ok(false)
        }
        Weather::Late(delay) => {
            thread::sleep(delay + delay.mul_f64(fastrand::f64()));
            to.write_all(piece).map(|()| true)
        }
        Weather::Cut => Ok(false),
        Weather::Theft if towards == Towards::Client => {
            *shared.weather() = Weather::Clear;
            Ok(true)
        }
        // What was read just before it was to be held is on its way.
        _ => to.write_all(piece).map(|()| true),
    }
}

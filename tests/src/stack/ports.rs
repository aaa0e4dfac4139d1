//! Free TCP ports on the loopback address.
//!
//! Ports come from below the range that the kernel hands out to outgoing connections. A port of that range could be
//! taken by any client while its server is down for a restart, and a client that keeps reconnecting to a dead port of
//! that range can even end up connected to itself.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::StackError;

const LOWEST: u16 = 15_000;
/// The start of the outgoing range of Linux where it cannot be asked for.
const USUAL_OUTGOING_LOWEST: u16 = 32_768;
const ATTEMPTS: usize = 2_000;

/// Ports given out by this process, so that two servers starting at the same time never get the same one.
static GIVEN_OUT: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port on 127.0.0.1 where nobody listens and which this process has not given out before.
///
/// # Errors
///
/// [`StackError::NoPort`] when a few thousand random tries found none.
pub fn free_port() -> Result<u16, StackError> {
    let end = highest_exclusive();
    let mut given_out = GIVEN_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..ATTEMPTS {
        let port = fastrand::u16(LOWEST..end);
        if !given_out.contains(&port) && is_free(port) {
            given_out.insert(port);
            return Ok(port);
        }
    }
    Err(StackError::NoPort {
        lowest: LOWEST,
        highest: end - 1,
    })
}

/// Whether a listener can be opened on this port of 127.0.0.1 now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether somebody accepts connections on this port of 127.0.0.1.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(1)).is_ok()
}

/// The first port that is not given out; a machine with an unusually low outgoing range gets the usual one, as a port
/// that may be taken is better than none.
fn highest_exclusive() -> u16 {
    let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    lowest_outgoing(&outgoing)
        .filter(|lowest| *lowest > LOWEST + 1_000)
        .unwrap_or(USUAL_OUTGOING_LOWEST)
}

fn lowest_outgoing(range: &str) -> Option<u16> {
    range.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_neither_free_nor_closed() -> std::io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        assert!(!is_free(port));
        assert!(is_open(port));
        drop(listener);
        assert!(is_free(port));
        assert!(!is_open(port));
        Ok(())
    }

    #[test]
    fn no_port_is_given_out_twice_although_none_is_bound() -> Result<(), StackError> {
        // 2,000 of some 17,000 ports: by chance alone about a hundred pairs would be equal.
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            assert!(seen.insert(free_port()?), "a port was given out twice");
        }
        assert!(seen.iter().all(|port| (LOWEST..highest_exclusive()).contains(port)));
        Ok(())
    }

    #[test]
    fn the_outgoing_range_is_read_from_its_first_number() {
        assert_eq!(lowest_outgoing("32768\t60999\n"), Some(32_768));
        assert_eq!(lowest_outgoing(""), None);
    }
}

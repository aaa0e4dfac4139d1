//! `outbox-relay healthcheck`: liveness, for a container runtime. It does not ask whether Kafka is up: a restart of the
//! relay would not help.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::{Failure, Refusal};

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 4096;

pub(super) fn healthcheck(listen: SocketAddr) -> Result<(), Failure> {
    let address = reachable(listen);
    let answer = ask(address).map_err(|error| {
        Failure::new(
            Refusal::NotLive,
            format!("no answer from http://{address}/livez: {error}"),
            "is the relay running, and is admin.listen the same for both?",
        )
    })?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim();
    if answer.starts_with("HTTP/1.1 200 ") {
        println!("{body}");
        Ok(())
    } else {
        Err(Failure::new(
            Refusal::NotLive,
            body,
            "the relay's log says what it did last",
        ))
    }
}

/// A listener on every address is reached over loopback.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer) {
        // What the system calls this would say nothing to a reader.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        read => read.map(|_| answer),
    }
}

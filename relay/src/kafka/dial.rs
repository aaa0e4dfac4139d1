//! A connection of the relay's own to a broker, to ask it what librdkafka does not say.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Connects to `host:port`; neither a read nor a write on it takes longer than three seconds.
pub(super) fn dial(address: &str) -> io::Result<TcpStream> {
    let mut failed = io::ErrorKind::NotFound.into();
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWER_WITHIN) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WITHIN))?;
                stream.set_write_timeout(Some(ANSWER_WITHIN))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

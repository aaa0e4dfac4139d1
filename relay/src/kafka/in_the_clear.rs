//! Whether a broker speaks in the clear where TLS was expected. librdkafka only knows that the handshake came to nothing,
//! which is also what a proxy without anybody behind it gives.

use std::io::{self, Read, Write};

use crate::kafka::dial::dial;

const CORRELATION_ID: [u8; 4] = *b"obrx";
/// An `ApiVersions` request, version 0, of a client without a name: Kafka protocol guide, "The Messages". It holds nothing
/// that anybody could listen for.
const REQUEST: [u8; 14] = {
    let id = CORRELATION_ID;
    [0, 0, 0, 10, 0, 18, 0, 0, id[0], id[1], id[2], id[3], 0xff, 0xff]
};

/// Whether `host:port` answers a question of Kafka's in the clear.
pub(super) fn is_spoken_by(address: &str) -> bool {
    asked(address).is_ok_and(|id| id == CORRELATION_ID)
}

fn asked(address: &str) -> io::Result<[u8; 4]> {
    let mut stream = dial(address)?;
    stream.write_all(&REQUEST)?;
    let mut length_and_id = [0; 8];
    stream.read_exact(&mut length_and_id)?;
    let [.., a, b, c, d] = length_and_id;
    Ok([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that takes a request and answers with `answer`.
    fn is_spoken_by_one_who_says(answer: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; REQUEST.len()];
            stream.read_exact(&mut request).expect("a request");
            let _ = stream.write_all(answer);
        });
        let is_spoken = is_spoken_by(&address);
        server.join().expect("served");
        is_spoken
    }

    #[test]
    fn who_hangs_up_or_says_something_else_does_not_speak_it() {
        assert!(is_spoken_by_one_who_says(b"\0\0\0\x0aobrx\0\0"));
        assert!(!is_spoken_by_one_who_says(b""));
        assert!(!is_spoken_by_one_who_says(b"HTTP/1.1 400 Bad Request"));
        assert!(!is_spoken_by("127.0.0.1:1"));
    }
}

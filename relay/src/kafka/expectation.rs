//! What a broker's listener expects, asked on a connection of the relay's own. librdkafka only knows that a connection came
//! to nothing, which is also what a broker gives that is being killed, and a proxy without anybody behind it: nobody is told
//! to change how the relay speaks before the broker itself was asked.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslOptions, SslStream, SslVerifyMode};

use crate::kafka::dial::dial;

const CORRELATION_ID: [u8; 4] = *b"obrx";
/// `ApiVersions` version 0 of a client without a name: Kafka protocol guide, "The Messages". Every listener answers it
/// before a login. Neither this nor the next holds anything that somebody could listen for.
const API_VERSIONS: [u8; 14] = {
    let id = CORRELATION_ID;
    [0, 0, 0, 10, 0, 18, 0, 0, id[0], id[1], id[2], id[3], 0xff, 0xff]
};
/// `Metadata` version 4 of no topic. A listener with a login hangs up on whoever asks this before it.
const METADATA: [u8; 19] = {
    let id = CORRELATION_ID;
    [
        0, 0, 0, 15, 0, 3, 0, 4, id[0], id[1], id[2], id[3], 0xff, 0xff, 0, 0, 0, 0, 0,
    ]
};
/// An answer that claims to be larger is none.
const ANSWER_BYTES_MAX: usize = 1 << 16;
/// Whoever gives its answer in more pieces than this gives none.
const PIECES_MAX: usize = 64;

/// What a listener may expect although the relay was told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expectation {
    /// To be spoken to in the clear.
    PlainText,
    /// A TLS handshake.
    Tls,
    /// A login, after a handshake or in the clear.
    Login { encrypted: bool },
}

impl Expectation {
    /// Whether it is what `host:port` expects.
    pub(super) fn is_of(self, address: &str) -> bool {
        match self {
            Self::PlainText => dial(address).is_ok_and(|mut stream| ask(&mut stream, &API_VERSIONS).is_ok()),
            Self::Tls => speaks_tls(address),
            Self::Login { encrypted: false } => dial(address).is_ok_and(wants_login),
            Self::Login { encrypted: true } => shake_hands(address).is_ok_and(wants_login),
        }
    }
}

/// An end in order counts, and not a broken connection: that says nothing of what is expected.
fn wants_login(mut stream: impl Read + Write) -> bool {
    ask(&mut stream, &API_VERSIONS).is_ok()
        && ask(&mut stream, &METADATA).is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
}

/// Asks, and reads the whole answer.
fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let [a, b, c, d, id @ ..] = head;
    let rest = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok();
    let rest = rest.and_then(|bytes| bytes.checked_sub(id.len()));
    match rest.filter(|&rest| rest <= ANSWER_BYTES_MAX && id == CORRELATION_ID) {
        Some(rest) => read_pieces(stream, &mut vec![0; rest]),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Each read has a limit of time; together they have one by their number.
fn read_pieces(stream: &mut impl Read, mut rest: &mut [u8]) -> io::Result<()> {
    for _ in 0..PIECES_MAX {
        if rest.is_empty() {
            return Ok(());
        }
        match stream.read(rest)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => rest = rest.split_at_mut(bytes).1,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Also one that wants a certificate speaks it: it says so by an alert.
fn speaks_tls(address: &str) -> bool {
    match shake_hands(address) {
        Ok(_) => true,
        Err(Some(HandshakeError::Failure(failed))) => failed.error().ssl_error().is_some_and(|stack| {
            let mut reasons = stack.errors().iter().filter_map(openssl::error::Error::reason);
            reasons.any(|reason| reason.contains("alert"))
        }),
        Err(_) => false,
    }
}

/// A handshake that trusts anybody: nothing that matters is said after it.
fn shake_hands(address: &str) -> Result<SslStream<TcpStream>, Option<HandshakeError<TcpStream>>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(|_| None)?;
    builder.set_verify(SslVerifyMode::NONE);
    // Who hangs up without a word of TLS has hung up too.
    builder.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
    let configuration = builder.build().configure().map_err(|_| None)?;
    let configuration = configuration.use_server_name_indication(false).verify_hostname(false);
    let stream = dial(address).map_err(|_| None)?;
    configuration.connect("", stream).map_err(Some)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const VERSIONS: &[u8] = b"\0\0\0\x0aobrx\0\0\0\0\0\0";

    /// A server that answers each of the requests that it gets, and then hangs up.
    fn is_of_one_who_says(expectation: Expectation, answers: &'static [&'static [u8]]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            for answer in answers {
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
            }
            let _ = stream.read(&mut request);
        });
        let is_it = expectation.is_of(&address);
        server.join().expect("served");
        is_it
    }

    #[test]
    fn who_answers_in_the_clear_expects_that_and_who_hangs_up_or_says_something_else_does_not() {
        let plain = |answers| is_of_one_who_says(Expectation::PlainText, answers);
        assert!(plain(&[VERSIONS]));
        assert!(!plain(&[]));
        assert!(!plain(&[b"HTTP/1.1 400 Bad Request"]));
        assert!(!Expectation::PlainText.is_of("127.0.0.1:1"));
    }

    #[test]
    fn an_answer_that_drips_is_none() {
        struct Drip;
        impl Read for Drip {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer[0] = 0;
                Ok(1)
            }
        }
        assert!(read_pieces(&mut Drip, &mut [0; PIECES_MAX - 1]).is_ok());
        let dripped = read_pieces(&mut Drip, &mut [0; PIECES_MAX + 1]).map_err(|error| error.kind());
        assert_eq!(dripped, Err(io::ErrorKind::TimedOut));
    }

    #[test]
    fn who_answers_until_it_is_asked_for_more_wants_a_login() {
        let login = |answers| is_of_one_who_says(Expectation::Login { encrypted: false }, answers);
        assert!(login(&[VERSIONS]));
        assert!(!login(&[VERSIONS, VERSIONS]), "it answers everybody");
        assert!(!login(&[]), "it answers nobody");
    }

    /// An alert is version 3.3's handshake failure: RFC 5246, section 7.2.
    #[test]
    fn who_answers_a_handshake_by_an_alert_speaks_tls_and_who_hangs_up_does_not() {
        let tls = |answers| is_of_one_who_says(Expectation::Tls, answers);
        assert!(tls(&[b"\x15\x03\x03\0\x02\x02\x28"]));
        assert!(!tls(&[]));
        assert!(!tls(&[b"HTTP/1.1 400 Bad Request"]));
        assert!(!Expectation::Tls.is_of("127.0.0.1:1"));
    }
}

//! Somebody who speaks TLS in place of a broker, and Kafka only as far as the login.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslStream, SslVersion};
use openssl::x509::X509;

use crate::certificates::Identity;
use crate::failure::Outcome;
use crate::proxy::accept;

const FRAME_BYTES_MAX: usize = 64 * 1024;
const API_VERSIONS: u16 = 18;
const SASL_HANDSHAKE: u16 = 17;
const SASL_AUTHENTICATE: u16 = 36;

/// How the login goes on, once a client has begun one with SCRAM: the number of iterations that it is asked for. The
/// proof that follows is made up.
#[derive(Debug, Clone, Copy)]
pub struct FalseScram {
    /// How often the client is to hash its password.
    pub iterations: u32,
}

/// A listener that shows a certificate. Dropped, it closes.
#[derive(Debug)]
pub struct TlsServer {
    port: u16,
    closing: Arc<AtomicBool>,
    was_trusted: Arc<AtomicBool>,
}

impl TlsServer {
    /// Speaks `newest` at most, and after the handshake the login of `script` or nothing.
    ///
    /// # Errors
    /// No port is free, or the library refuses.
    pub fn open(own: &Identity, newest: SslVersion, script: Option<FalseScram>) -> Outcome<TlsServer> {
        let acceptor = acceptor(own, newest)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let closing = Arc::<AtomicBool>::default();
        let was_trusted = Arc::<AtomicBool>::default();
        let (is_closing, trusted) = (Arc::clone(&closing), Arc::clone(&was_trusted));
        thread::spawn(move || {
            accept(&listener, &is_closing, |client| {
                let (acceptor, trusted) = (acceptor.clone(), Arc::clone(&trusted));
                thread::spawn(move || meet(client, &acceptor, script, &trusted));
            });
        });
        Ok(TlsServer {
            port,
            closing,
            was_trusted,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether anybody said more to it than a login takes.
    pub fn was_trusted(&self) -> bool {
        self.was_trusted.load(Ordering::Relaxed)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

fn acceptor(own: &Identity, newest: SslVersion) -> Outcome<SslAcceptor> {
    let (certificate, key) = own.pem()?;
    let mut builder = SslAcceptor::mozilla_intermediate(SslMethod::tls_server())?;
    builder.set_certificate(&*X509::from_pem(&certificate)?)?;
    builder.set_private_key(&*PKey::private_key_from_pem(&key)?)?;
    builder.set_min_proto_version(None)?;
    builder.set_max_proto_version(Some(newest))?;
    // The old versions are below every other level.
    builder.set_cipher_list("ALL:@SECLEVEL=0")?;
    Ok(builder.build())
}

fn meet(client: TcpStream, acceptor: &SslAcceptor, script: Option<FalseScram>, trusted: &AtomicBool) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let mut client = acceptor.accept(client).map_err(io::Error::other)?;
    let Some(script) = script else {
        trusted.fetch_or(client.read(&mut [0])? > 0, Ordering::Relaxed);
        return Ok(());
    };
    loop {
        let request = frame(&mut client)?;
        let answer = match key_of(&request) {
            Some((API_VERSIONS, version)) => versions(version),
            Some((SASL_HANDSHAKE, _)) => mechanisms(),
            Some((SASL_AUTHENTICATE, _)) => scram(&request, script),
            _ => {
                trusted.store(true, Ordering::Relaxed);
                return Ok(());
            }
        };
        let correlation = request.get(4..8).unwrap_or_default();
        let length = u32::try_from(correlation.len() + answer.len()).unwrap_or(0);
        client.write_all(&[&length.to_be_bytes(), correlation, &answer].concat())?;
    }
}

fn frame(client: &mut SslStream<TcpStream>) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).min(FRAME_BYTES_MAX)];
    client.read_exact(&mut body)?;
    Ok(body)
}

fn key_of(request: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *request.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Version 0 of the answer, whatever was asked for: an error unless it was that version.
fn versions(asked: u16) -> Vec<u8> {
    const UNSUPPORTED_VERSION: u16 = 35;
    let error = if asked == 0 { 0 } else { UNSUPPORTED_VERSION };
    let known: [[u16; 3]; 5] = [
        [API_VERSIONS, 0, 0],
        [SASL_HANDSHAKE, 0, 1],
        [SASL_AUTHENTICATE, 0, 0],
        [3, 0, 4],
        [0, 0, 7],
    ];
    let mut answer = error.to_be_bytes().to_vec();
    answer.extend(5_u32.to_be_bytes());
    answer.extend(known.as_flattened().iter().flat_map(|number| number.to_be_bytes()));
    answer
}

fn mechanisms() -> Vec<u8> {
    [&[0, 0], &1_u32.to_be_bytes()[..], &text(b"SCRAM-SHA-256")].concat()
}

fn scram(request: &[u8], script: FalseScram) -> Vec<u8> {
    let said = String::from_utf8_lossy(request);
    // First a name and a nonce, then a proof.
    let nonce = said.split(",r=").nth(1).filter(|_| said.contains("n,,"));
    let message = match nonce {
        Some(nonce) => format!("r={nonce}false,s=c2FsdHNhbHQ=,i={}", script.iterations),
        None => "v=bm90IHRoZSBzaWduYXR1cmUgb2YgYW55Ym9keSBoZXJl".to_owned(),
    };
    let length = u32::try_from(message.len()).unwrap_or(0);
    // No error, no message.
    [&[0, 0, 0xff, 0xff], &length.to_be_bytes()[..], message.as_bytes()].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(0);
    [&length.to_be_bytes()[..], bytes].concat()
}

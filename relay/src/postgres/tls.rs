//! TLS on a connection to PostgreSQL: asked for, verified, never silently left out.
//!
//! Certificates are read from their files on every connect, so that rotated ones are picked up.
//! Source: PostgreSQL documentation, "SSL Session Encryption" and "Secure TCP/IP Connections with SSL"; RFC 5929.

use std::fs;
use std::path::Path;
use std::pin::Pin;

use bytes::BytesMut;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::{X509, X509VerifyResult};
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::config::{Secret, TlsMode, TlsSettings, TlsVersion};
use crate::postgres::error::{PostgresError, TlsError};

/// The protocol's name in the handshake, after its length. Servers from 17 on insist on it being this or none.
const ALPN: &[u8] = b"\x0apostgresql";

/// Encrypts a connection that has just been made.
pub(super) async fn secure(
    mut stream: TcpStream,
    settings: &TlsSettings,
    host: &str,
) -> Result<SslStream<TcpStream>, PostgresError> {
    // First, because a missing file is our own mistake, whoever the server is.
    let connector = connector(settings)?;
    ask(&mut stream).await?;
    let failed = |error: ErrorStack| TlsError::Handshake(error.to_string());
    let mut configuration = connector.configure().map_err(failed)?;
    configuration.set_verify_hostname(settings.mode == TlsMode::VerifyFull);
    let ssl = configuration.into_ssl(host).map_err(failed)?;
    let mut stream = SslStream::new(ssl, stream).map_err(failed)?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        return Err(refused(&error, stream.ssl(), settings.mode, host).into());
    }
    Ok(stream)
}

/// Asks for TLS. One byte is read and not one more: whatever follows it before the handshake was put there by somebody
/// else, and ends up in the handshake, which fails.
async fn ask(stream: &mut TcpStream) -> Result<(), PostgresError> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => Ok(()),
        b'N' => Err(TlsError::NotOffered.into()),
        other => Err(PostgresError::Unexpected {
            got: format!("{:?}", char::from(other)),
            wanted: "an answer to the request for TLS",
        }),
    }
}

fn connector(settings: &TlsSettings) -> Result<SslConnector, PostgresError> {
    let failed = |error: ErrorStack| TlsError::Handshake(error.to_string());
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(failed)?;
    let min = match settings.min_version {
        TlsVersion::V1_2 => SslVersion::TLS1_2,
        TlsVersion::V1_3 => SslVersion::TLS1_3,
    };
    builder.set_min_proto_version(Some(min)).map_err(failed)?;
    builder.set_alpn_protos(ALPN).map_err(failed)?;
    // PostgreSQL makes a TLS record of each row. Without this, each takes two reads, and a turn of the runtime allows so
    // few of them that a backlog came five times slower (measured).
    builder.set_read_ahead(true);
    if let Some(file) = &settings.ca_file {
        // In place of the system's: who names a CA trusts no other.
        builder.set_cert_store(trusted(file)?);
    }
    if settings.mode == TlsMode::Require {
        builder.set_verify(SslVerifyMode::NONE);
    }
    present(&mut builder, settings)?;
    Ok(builder.build())
}

fn trusted(file: &Path) -> Result<X509Store, TlsError> {
    let unusable = |why: String| TlsError::File {
        path: file.to_owned(),
        why,
    };
    let pem = fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let certificates = X509::stack_from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    let store = || {
        let mut store = X509StoreBuilder::new()?;
        for certificate in certificates {
            store.add_cert(certificate)?;
        }
        Ok(store.build())
    };
    store().map_err(|error: ErrorStack| unusable(error.to_string()))
}

/// The relay's own certificate, where it has one.
fn present(builder: &mut SslConnectorBuilder, settings: &TlsSettings) -> Result<(), PostgresError> {
    let Some((certificate, key)) = &settings.identity else {
        return Ok(());
    };
    let passphrase = settings.key_password.as_ref().map(Secret::reveal).transpose();
    let passphrase = passphrase.map_err(|error| PostgresError::Secret(error.to_string()))?;
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |error: ErrorStack| TlsError::File {
            path,
            why: error.to_string(),
        }
    };
    builder
        .set_certificate_chain_file(certificate)
        .map_err(unusable(certificate))?;
    let private = private_key(key, passphrase.as_ref())?;
    builder.set_private_key(&private).map_err(unusable(key))?;
    Ok(builder.check_private_key().map_err(unusable(key))?)
}

/// A passphrase is always given, if only an empty one: without any, OpenSSL would ask for it on a terminal and wait.
fn private_key(path: &Path, passphrase: Option<&SecretString>) -> Result<PKey<Private>, TlsError> {
    let unusable = |why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let given = passphrase.map(ExposeSecret::expose_secret).unwrap_or_default();
    // The library cannot be given a zero byte, and no tool puts one into a passphrase.
    let given = if given.contains('\0') { "" } else { given };
    PKey::private_key_from_pem_passphrase(&pem, given.as_bytes()).map_err(|error| {
        if !is_encrypted(&pem) {
            return unusable(error.to_string());
        }
        TlsError::Passphrase {
            path: path.to_owned(),
            why: match passphrase {
                None => "no passphrase is configured",
                Some(_) => "the configured passphrase does not open it",
            },
        }
    })
}

/// PKCS#8 says so in its first line, the older form in its second.
fn is_encrypted(pem: &[u8]) -> bool {
    pem.windows(b"ENCRYPTED".len()).any(|window| window == b"ENCRYPTED")
}

fn refused(error: &openssl::ssl::Error, ssl: &SslRef, mode: TlsMode, host: &str) -> TlsError {
    match ssl.verify_result() {
        X509VerifyResult::OK => TlsError::Handshake(error.to_string()),
        // It was not asked for.
        _ if mode == TlsMode::Require => TlsError::Handshake(error.to_string()),
        result => TlsError::Certificate {
            host: host.to_owned(),
            why: result.error_string(),
        },
    }
}

/// The hash of the server's certificate, by the hash of its own signature; MD5 and SHA-1 are replaced by SHA-256.
/// `None` for signatures that have no such hash (RSA-PSS, Ed25519).
pub(super) fn server_end_point(ssl: &SslRef) -> Option<Vec<u8>> {
    let certificate = ssl.peer_certificate()?;
    let signature = certificate.signature_algorithm().object().nid();
    let digest = match signature.signature_algorithms()?.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        Nid::UNDEF => return None,
        digest => MessageDigest::from_nid(digest)?,
    };
    Some(certificate.digest(digest).ok()?.to_vec())
}

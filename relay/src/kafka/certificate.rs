//! Why a broker's certificate is not accepted. librdkafka only says that it is not.
//!
//! This is for the message alone: it asks the same broker for its certificate once more, and decides nothing.

use std::path::Path;

use openssl::ssl::{HandshakeError, SslConnector, SslConnectorBuilder, SslMethod};
use openssl::x509::X509VerifyResult;

use crate::config::KafkaSettings;
use crate::fault::Fault;
use crate::kafka::dial::dial;
use crate::kafka::policy;

// Of OpenSSL's x509_vfy.h; the crate has no names for them.
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const HOST_MISMATCH: i32 = 62;
const ADDRESS_MISMATCH: i32 = 64;

/// The fault that it means when the certificate of the broker at `host:port` was refused; `None` if it is accepted now,
/// or cannot be had.
pub(super) fn fault(address: &str, kafka: &KafkaSettings) -> Option<Fault> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let result = refusal(address, host, kafka)?;
    let message = format!(
        "the certificate of {address} is not accepted: {}",
        result.error_string()
    );
    Some(policy::tls_failed(message, hint(result.as_raw())))
}

fn hint(result: i32) -> String {
    match result {
        HOST_MISMATCH | ADDRESS_MISMATCH => {
            "name the brokers in kafka.bootstrap_servers, and in their advertised.listeners, as their certificate does"
        }
        EXPIRED | NOT_YET_VALID => "renew the broker's certificate, or look at this machine's clock",
        _ => "name the CA that signed it in kafka.properties.\"ssl.ca.location\"",
    }
    .to_owned()
}

fn refusal(address: &str, host: &str, kafka: &KafkaSettings) -> Option<X509VerifyResult> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).ok()?;
    trust(&mut builder, kafka)?;
    match builder.build().connect(host, dial(address).ok()?) {
        Err(HandshakeError::Failure(refused)) => {
            let result = refused.ssl().verify_result();
            (result != X509VerifyResult::OK).then_some(result)
        }
        _ => None,
    }
}

/// What the producer trusts.
fn trust(builder: &mut SslConnectorBuilder, kafka: &KafkaSettings) -> Option<()> {
    match kafka
        .properties
        .get("ssl.ca.location")
        .filter(|place| *place != "probe")
    {
        Some(place) if Path::new(place).is_dir() => builder.load_verify_locations(None, Some(Path::new(place))).ok(),
        Some(place) => builder.set_ca_file(place).ok(),
        // In memory, or what the system trusts: then only the system's answer can be had.
        None => (!kafka.properties.contains_key("ssl.ca.pem")).then_some(()),
    }
}

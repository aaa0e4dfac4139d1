//! What librdkafka says of its connections, and what it means.
//!
//! For a listener that speaks something else than it was told to expect, librdkafka has no code of its own: it calls
//! each of these cases a failure of the transport and has only words for the difference. They are its `rdkafka_ssl.c`
//! and `rdkafka_broker.c` (2.12); the scenarios of `kafka_doors` notice when it finds other ones.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::fault::Fault;
use crate::kafka::expectation::Expectation;
use crate::kafka::policy;

/// What an error of the client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A broker and the relay do not trust each other: somebody has to change something.
    Refused(Fault),
    /// A broker ended the connection in the way of one that wants to be spoken to otherwise; so does one that is being
    /// killed. The fault that it would be, if the broker really expects that.
    Perhaps(Expectation, Fault),
    /// A broker's connection cannot be made, or ended.
    Trouble,
    /// None of the brokers is left.
    AllDown,
    /// Nothing about connections.
    Other,
}

/// Whoever is let in stays for longer than this.
const AT_ONCE_MS: u64 = 500;
const PROTOCOL: &str = "kafka.properties.\"security.protocol\"";

/// What an error means for a relay that was told to speak `protocol`.
pub(super) fn said(code: Option<Code>, reason: &str, protocol: &str) -> Said {
    let brief = brief(reason);
    match code {
        Some(Code::AllBrokersDown) => Said::AllDown,
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => Said::Refused(policy::not_logged_in(
            format!("the login to Kafka failed: {}", without_proof(brief)),
            policy::LOGIN_REMEDY,
        )),
        // A cut in the middle of a handshake has the same code as a certificate that is refused.
        Some(Code::SSL) if brief.contains("SSL transport error") => Said::Trouble,
        Some(Code::SSL) => Said::Refused(encryption_fault(brief)),
        Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut | Code::BadMessage) => {
            if brief.contains("SSL routines") {
                // With TLS 1.3 a broker refuses a client's certificate after the handshake.
                Said::Refused(encryption_fault(brief))
            } else {
                mismatch(reason, protocol).unwrap_or(Said::Trouble)
            }
        }
        _ => Said::Other,
    }
}

/// What the log says of a connection that failed. That a broker hung up is no error to librdkafka, and only logged.
pub(super) fn logged(level: RDKafkaLogLevel, facility: &str, message: &str) -> Option<String> {
    let is_notice = matches!(
        level,
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info
    );
    // Before it stands the name of a thread.
    let said = message.split_once("]: ").map_or(message, |(_, said)| said);
    (is_notice && facility == "FAIL").then(|| said.to_owned())
}

/// The broker whose certificate was refused, as `host:port`.
pub(super) fn refused_certificate(reason: &str) -> Option<&str> {
    address(reason).filter(|_| reason.contains("certificate verify failed"))
}

/// The broker that is spoken of, as `host:port`.
pub(super) fn address(reason: &str) -> Option<&str> {
    let named = reason.split_once("://").map_or(reason, |(_, rest)| rest);
    named.split_once('/').map(|(address, _)| address)
}

/// Without how long it took this time.
pub(super) fn brief(reason: &str) -> &str {
    reason.rsplit_once(" (after ").map_or(reason, |(brief, _)| brief)
}

/// When the other side cannot prove that it knows the password, librdkafka shows the proof that it should have given.
fn without_proof(brief: &str) -> &str {
    brief.split_once(" (server's ").map_or(brief, |(before, _)| before)
}

fn encryption_fault(brief: &str) -> Fault {
    policy::tls_failed(
        format!("TLS to Kafka failed: {brief}"),
        "check the ssl.* properties under kafka.properties, the files that they name, and the brokers' certificates",
    )
}

fn mismatch(reason: &str, protocol: &str) -> Option<Said> {
    let (brief, has) = (brief(reason), |words: &str| reason.contains(words));
    let encrypted = protocol.ends_with("ssl");
    if encrypted && has("SSL handshake failed") {
        return Some(Said::Perhaps(Expectation::PlainText, speaks_plain(brief, protocol)));
    }
    if !(has("Disconnected") || has("reset by peer")) {
        return None;
    }
    // The first question, in the clear, to one who expects a TLS handshake.
    if !encrypted && has("in state APIVERSION_QUERY") {
        return Some(Said::Perhaps(Expectation::Tls, wants_tls(brief, protocol)));
    }
    // That is answered without a login, and nothing after it is.
    let was_up = !protocol.starts_with("sasl") && lasted_ms(reason, "UP").is_some_and(|ms| ms < AT_ONCE_MS);
    was_up.then(|| Said::Perhaps(Expectation::Login { encrypted }, wants_login(brief)))
}

/// For how long a connection was in a state before it ended.
fn lasted_ms(reason: &str, state: &str) -> Option<u64> {
    let (_, rest) = reason.rsplit_once(" (after ")?;
    let (lasted, rest) = rest.split_once("ms in state ")?;
    let found = rest.split([',', ')']).next()?;
    if found == state { lasted.parse().ok() } else { None }
}

fn speaks_plain(brief: &str, protocol: &str) -> Fault {
    let plain = with_the_login_of(protocol, "plaintext");
    policy::tls_failed(
        format!("the brokers do not speak TLS there: {brief}"),
        format!(
            "name their TLS port in kafka.bootstrap_servers, or, on a network that nobody else reaches, set {PROTOCOL} \
             = \"{plain}\"; then restart the relay"
        ),
    )
}

fn with_the_login_of(protocol: &str, transport: &str) -> String {
    let login = if protocol.starts_with("sasl") { "sasl_" } else { "" };
    format!("{login}{transport}")
}

fn wants_tls(brief: &str, protocol: &str) -> Fault {
    let encrypted = with_the_login_of(protocol, "ssl");
    policy::tls_failed(
        format!("the brokers want TLS there: {brief}"),
        format!("set {PROTOCOL} = \"{encrypted}\", which is also the default; then restart the relay"),
    )
}

fn wants_login(brief: &str) -> Fault {
    policy::not_logged_in(
        format!("the brokers end each connection at once, as those do that want a login: {brief}"),
        "set kafka.properties.\"sasl.mechanism\" and the login, or name a listener that asks for none in \
         kafka.bootstrap_servers; then restart the relay",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_whose_certificate_was_refused_is_found() {
        let reason = "ssl://[::1]:9093/bootstrap: SSL handshake failed: error:0A000086:SSL \
                      routines:tls_post_process_server_certificate:certificate verify failed: broker certificate could \
                      not be verified (after 3ms in state SSL_HANDSHAKE)";
        assert_eq!(refused_certificate(reason), Some("[::1]:9093"));
        assert_eq!(refused_certificate("ssl://a:1/2: Disconnected"), None);
        assert_eq!(address("127.0.0.1:9092/1: Disconnected"), Some("127.0.0.1:9092"));
        assert!(!brief(reason).contains("after 3ms"));
    }

    #[test]
    fn what_only_one_side_encrypts_is_said_with_the_value_to_set() {
        let hint = |reason, protocol| match said(Some(Code::BrokerTransportFailure), reason, protocol) {
            Said::Perhaps(_, fault) => fault.hint,
            other => panic!("{other:?}"),
        };
        let plain =
            "ssl://a:1/bootstrap: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?";
        assert!(hint(plain, "ssl").contains("= \"plaintext\""));
        assert!(hint(plain, "sasl_ssl").contains("= \"sasl_plaintext\""));
        let tls = "a:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in state \
                   APIVERSION_QUERY, 1 identical error(s) suppressed)";
        assert!(hint(tls, "plaintext").contains("= \"ssl\""));
        assert!(hint(tls, "sasl_plaintext").contains("= \"sasl_ssl\""));
    }

    #[test]
    fn the_proof_that_a_false_broker_should_have_given_is_not_shown() {
        let reason = "sasl_ssl://a:1/1: SASL authentication error: SASL SCRAM authentication failed: ServerSignature \
                      mismatch (server's abc != ours def) (after 1ms in state AUTH_REQ)";
        match said(Some(Code::Authentication), reason, "sasl_ssl") {
            Said::Refused(fault) => assert!(fault.message.ends_with("ServerSignature mismatch"), "{fault}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connection_that_was_good_for_a_while_was_not_ended_for_want_of_a_login() {
        let ended = |ms: u64, protocol| {
            let reason = format!("a:1/1: Disconnected: SSL connection closed by peer (after {ms}ms in state UP)");
            said(Some(Code::BrokerTransportFailure), &reason, protocol)
        };
        let login = Expectation::Login { encrypted: true };
        assert!(
            matches!(ended(3, "ssl"), Said::Perhaps(what, fault) if what == login && fault.hint.contains("sasl.mechanism"))
        );
        assert_eq!(ended(600_000, "ssl"), Said::Trouble);
        assert_eq!(ended(3, "sasl_ssl"), Said::Trouble);
    }

    #[test]
    fn a_cut_in_the_middle_of_a_handshake_has_refused_nothing() {
        let cut = "ssl://a:1/1: SSL handshake failed: SSL transport error: Connection timed out (after 9ms in state \
                   SSL_HANDSHAKE)";
        assert_eq!(said(Some(Code::SSL), cut, "ssl"), Said::Trouble);
    }

    #[test]
    fn a_broker_that_is_away_has_refused_nothing() {
        let away = "ssl://a:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        assert_eq!(said(Some(Code::BrokerTransportFailure), away, "ssl"), Said::Trouble);
    }
}

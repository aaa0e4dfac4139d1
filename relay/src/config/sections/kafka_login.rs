//! How the relay shows the brokers who it is, and that the way to them is encrypted unless somebody says otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Value, ValueKind};

use crate::config::errors::Fault;
use crate::config::key::Key;
use crate::config::parse::{file, scalar};
use crate::config::properties::{FILES_PREFIX, PREFIX};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::TokenSource;

const TOKEN_FILE: &str = "kafka.oauth_token_file";
const TOKEN_COMMAND: &str = "kafka.oauth_token_command";
const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanism";
const OAUTHBEARER: &str = "OAUTHBEARER";

pub(super) fn token_source(reader: &mut Reader) -> Result<Option<TokenSource>, Noted> {
    let from_file: Result<Option<PathBuf>, Noted> = reader.optional(TOKEN_FILE, file);
    let from_command = reader.optional(TOKEN_COMMAND, command);
    if reader.is_given(TOKEN_FILE) && reader.is_given(TOKEN_COMMAND) {
        let problem = format!("is given beside {TOKEN_FILE} ({})", reader.origin(TOKEN_FILE));
        reader.fault(TOKEN_COMMAND, Fault::new(problem, "keep one of the two"));
        return Err(Noted);
    }
    let from_command = from_command?;
    Ok(from_file?.map(TokenSource::File).or(from_command))
}

/// A program and its arguments, which may repeat each other.
fn command(_: &Key, value: &Value) -> Result<TokenSource, Fault> {
    let words: Option<Vec<String>> = match &value.kind {
        ValueKind::Array(items) => items.iter().map(scalar).collect(),
        _ => scalar(value).map(|text| text.split(',').map(|word| word.trim().to_owned()).collect()),
    };
    let mut words = words.unwrap_or_default().into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Ok(TokenSource::Command(program, words.collect())),
        _ => Err(Fault::new(
            "names no program",
            "give a list of texts: the program, then its arguments",
        )),
    }
}

/// Adds what follows from the rest, and refuses what could only end in a connection without a login.
pub(super) fn complete(
    reader: &mut Reader,
    properties: &mut BTreeMap<String, String>,
    has_token: bool,
) -> Result<(), Noted> {
    let (mechanism, protocol) = (given(reader, MECHANISM), given(reader, PROTOCOL));
    let fault = mechanism_fault(reader, properties.get(MECHANISM), mechanism.is_some(), has_token)
        .or_else(|| protocol_fault(properties.get(PROTOCOL), mechanism.is_some() || has_token));
    if let Some((key, fault)) = fault {
        reader.fault(&key, fault);
        return Err(Noted);
    }
    if has_token && mechanism.is_none() {
        properties.insert(MECHANISM.to_owned(), OAUTHBEARER.to_owned());
    }
    if protocol.is_none() {
        let logs_in = mechanism.is_some() || has_token;
        let protocol = if logs_in { "sasl_ssl" } else { "ssl" };
        properties.insert(PROTOCOL.to_owned(), protocol.to_owned());
    }
    Ok(())
}

/// The key by which a property is given, as a value or as a file.
fn given(reader: &Reader, name: &str) -> Option<String> {
    let keys = [format!("{PREFIX}{name}"), format!("{FILES_PREFIX}{name}")];
    keys.into_iter().find(|key| reader.is_given(key))
}

fn mechanism_fault(
    reader: &Reader,
    mechanism: Option<&String>,
    is_given: bool,
    has_token: bool,
) -> Option<(String, Fault)> {
    let is_oauth = mechanism.is_some_and(|mechanism| mechanism.eq_ignore_ascii_case(OAUTHBEARER));
    let key = format!("{PREFIX}{MECHANISM}");
    if has_token && is_given && !is_oauth {
        let problem = format!("is not {OAUTHBEARER}, and the token of kafka.oauth_token_… is for nothing else");
        return Some((key, Fault::new(problem, "remove one of the two")));
    }
    if is_oauth && !has_token {
        let remedy = format!("set {TOKEN_FILE} or {TOKEN_COMMAND}");
        return Some((
            key,
            Fault::new(format!("is {OAUTHBEARER}, and there is no token"), remedy),
        ));
    }
    if let Some(missing) = missing_credential(reader, mechanism) {
        let remedy = format!("set {PREFIX}\"{missing}\", or better {FILES_PREFIX}\"{missing}\", a file with it");
        return Some((key, Fault::new(format!("is given, and {missing} is not"), remedy)));
    }
    let who = ["sasl.username", "sasl.password"]
        .into_iter()
        .find_map(|name| given(reader, name));
    who.filter(|_| !is_given && !has_token).map(|who| {
        let remedy =
            format!("set {PREFIX}\"{MECHANISM}\" to SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN, as the brokers ask");
        (who, Fault::new("is given, and no mechanism to log in with", remedy))
    })
}

/// What PLAIN and SCRAM cannot do without.
fn missing_credential(reader: &Reader, mechanism: Option<&String>) -> Option<&'static str> {
    let mechanism = mechanism?.to_ascii_uppercase();
    let takes_both = mechanism == "PLAIN" || mechanism.starts_with("SCRAM-");
    let mut needed = ["sasl.username", "sasl.password"].into_iter();
    needed.find(|name| takes_both && given(reader, name).is_none())
}

/// librdkafka only logs a warning about these, and goes on without a login.
fn protocol_fault(protocol: Option<&String>, logs_in: bool) -> Option<(String, Fault)> {
    let protocol = protocol?.to_ascii_lowercase();
    let key = format!("{PREFIX}{PROTOCOL}");
    match (protocol.as_str(), logs_in) {
        ("ssl" | "plaintext", true) => Some((
            key,
            Fault::new(
                format!("is {protocol}, which has no login, and a SASL mechanism is given"),
                "set it to sasl_ssl, or remove it: sasl_ssl is what a mechanism implies",
            ),
        )),
        ("sasl_ssl" | "sasl_plaintext", false) => Some((
            key,
            Fault::new(
                format!("is {protocol}, and no mechanism to log in with is given"),
                format!("set {PREFIX}\"{MECHANISM}\""),
            ),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::settings::TokenSource;
    use crate::config::trial::Trial;

    fn protocol(trial: Trial) -> String {
        let kafka = trial.load().expect("no error").settings.kafka;
        kafka.properties["security.protocol"].clone()
    }

    #[test]
    fn the_way_to_the_brokers_is_encrypted_unless_plain_text_is_asked_for_by_name() {
        let with = |property: &str| Trial::minimal().and(&format!("kafka.properties.{property}"));
        assert_eq!(protocol(Trial::minimal()), "ssl");
        let who = |mechanism| with(mechanism).and("kafka.properties.sasl = {username = 'u', password = 'p'}");
        assert_eq!(protocol(who("\"sasl.mechanism\" = 'PLAIN'")), "sasl_ssl");
        assert_eq!(protocol(who("\"sasl.mechanisms\" = 'SCRAM-SHA-512'")), "sasl_ssl");
        assert_eq!(
            protocol(Trial::minimal().and("kafka.oauth_token_command = ['/bin/token']")),
            "sasl_ssl"
        );
        assert_eq!(protocol(with("\"security.protocol\" = 'plaintext'")), "plaintext");
    }

    #[test]
    fn a_token_implies_its_mechanism_and_refuses_another() {
        let trial = || Trial::minimal().and("kafka.oauth_token_command = ['a', '-x', '-x']");
        let kafka = trial().load().expect("no error").settings.kafka;
        assert_eq!(kafka.properties["sasl.mechanism"], "OAUTHBEARER");
        let words = vec!["-x".to_owned(), "-x".to_owned()];
        assert_eq!(kafka.token_source, Some(TokenSource::Command("a".to_owned(), words)));
        let errors = trial().flag("kafka.properties.sasl.mechanism=PLAIN").errors();
        assert!(errors.to_string().contains("is not OAUTHBEARER"), "{errors}");
    }

    #[test]
    fn what_could_only_end_without_a_login_is_refused() {
        for (given, problem) in [
            ("properties.sasl.username=u", "no mechanism to log in with"),
            (
                "properties.security.protocol=SASL_SSL",
                "no mechanism to log in with is given",
            ),
            ("properties.sasl.mechanism=OAUTHBEARER", "there is no token"),
            ("properties.sasl.mechanism=PLAIN", "sasl.username is not"),
            ("oauth_token_command=", "names no program"),
            (
                "properties.sasl.oauthbearer.method=oidc",
                "which the relay is built without",
            ),
        ] {
            let errors = Trial::minimal().flag(&format!("kafka.{given}")).errors();
            assert!(errors.to_string().contains(problem), "{given}: {errors}");
        }
        let errors = Trial::minimal()
            .and("kafka.properties.sasl = {username = 'u', password = 'p', mechanism = 'PLAIN'}")
            .flag("kafka.properties.security.protocol=ssl")
            .errors();
        assert!(errors.to_string().contains("has no login"), "{errors}");
    }

    #[test]
    fn one_source_of_tokens_is_enough() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display();
        let errors = Trial::minimal()
            .flag(&format!("kafka.oauth_token_file={path}"))
            .flag("kafka.oauth_token_command=a")
            .errors();
        assert!(errors.to_string().contains("keep one of the two"), "{errors}");
    }
}

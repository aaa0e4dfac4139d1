//! From what was written to what was meant: one function for each kind of value.
//!
//! A message may quote a value only if it cannot be a secret.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use config::{Value, ValueKind};
use outbox_decoder::{TopicName, TopicTemplate};
use secrecy::SecretString;
use tracing_subscriber::filter::EnvFilter;

use super::errors::Fault;
use super::key::{Fallback, Key, Kind};
use super::settings::{LogFormat, Secret};

/// The longest name PostgreSQL keeps; it cuts off the rest.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Reads a value of the key's kind.
pub(super) type Parse<T> = fn(&Key, &Value) -> Result<T, Fault>;

/// The text of a single value; a list or a table has none.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        kind => Some(kind.to_string()),
    }
}

/// A value as people read it.
pub(super) fn shown(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => items.iter().filter_map(scalar).collect::<Vec<_>>().join(","),
        _ => scalar(value).unwrap_or_default(),
    }
}

fn wanted(key: &Key) -> String {
    format!("give {}", key.kind)
}

fn wrong(key: &Key, value: &Value) -> Fault {
    let shown = scalar(value).map_or_else(|| "this".to_owned(), |text| format!("{text:?}"));
    let remedy = match key.default {
        Fallback::Value(text) => format!("correct it, or remove it: the default is {text}"),
        Fallback::Required | Fallback::Unset | Fallback::Preset => "correct it".to_owned(),
    };
    Fault::new(format!("{shown} is not {}", key.kind), remedy)
}

/// Text in quotes, perhaps empty.
fn quoted(key: &Key, value: &Value) -> Result<String, Fault> {
    let ValueKind::String(text) = &value.kind else {
        return Err(Fault::new("is not a text", format!("{}, in quotes", wanted(key))));
    };
    // The replacement character is what is left of bytes that were not Unicode.
    if text.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return Err(Fault::new(
            "contains characters that cannot be printed, or is not Unicode",
            wanted(key),
        ));
    }
    Ok(text.clone())
}

pub(super) fn text(key: &Key, value: &Value) -> Result<String, Fault> {
    let text = quoted(key, value)?;
    if text.is_empty() {
        return Err(Fault::new("is empty", format!("{}, or remove the key", wanted(key))));
    }
    Ok(text)
}

pub(super) fn identifier(key: &Key, value: &Value) -> Result<String, Fault> {
    let name = text(key, value)?;
    if name.len() > IDENTIFIER_BYTES_MAX {
        return Err(Fault::new(
            format!("has {} bytes, PostgreSQL keeps {IDENTIFIER_BYTES_MAX}", name.len()),
            wanted(key),
        ));
    }
    Ok(name)
}

/// `None` for a column that the table does not have.
pub(super) fn column(key: &Key, value: &Value) -> Result<Option<String>, Fault> {
    if quoted(key, value)?.is_empty() {
        Ok(None)
    } else {
        identifier(key, value).map(Some)
    }
}

/// A column without which there is no record.
pub(super) fn required_column(key: &Key, value: &Value) -> Result<String, Fault> {
    column(key, value)?.ok_or_else(|| Fault::new("is empty, but no record can be made without it", "name the column"))
}

pub(super) fn slot_name(key: &Key, value: &Value) -> Result<String, Fault> {
    let name = identifier(key, value)?;
    let fits = name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if fits { Ok(name) } else { Err(wrong(key, value)) }
}

pub(super) fn whole<T: TryFrom<u64>>(key: &Key, value: &Value) -> Result<T, Fault> {
    let Kind::Whole { min, max, .. } = key.kind else {
        unreachable!("{} is not a number", key.path)
    };
    let is_fraction = matches!(value.kind, ValueKind::Float(_));
    let text = scalar(value).filter(|_| !is_fraction);
    let number = text
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|number| (min..=max).contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(key, value))
}

pub(super) fn switch(key: &Key, value: &Value) -> Result<bool, Fault> {
    match scalar(value).as_deref() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err(wrong(key, value)),
    }
}

pub(super) fn choice(key: &Key, value: &Value) -> Result<String, Fault> {
    let Kind::Choice(words) = key.kind else {
        unreachable!("{} is not a choice", key.path)
    };
    let word = text(key, value)?;
    if words.contains(&word.as_str()) {
        Ok(word)
    } else {
        Err(wrong(key, value))
    }
}

pub(super) fn log_format(key: &Key, value: &Value) -> Result<LogFormat, Fault> {
    Ok(if choice(key, value)? == "json" {
        LogFormat::Json
    } else {
        LogFormat::Text
    })
}

pub(super) fn list(key: &Key, value: &Value) -> Result<Vec<String>, Fault> {
    let items = match &value.kind {
        ValueKind::Array(items) => items
            .iter()
            .map(|item| text(key, item))
            .collect::<Result<Vec<_>, _>>()?,
        ValueKind::String(joined) if joined.trim().is_empty() => Vec::new(),
        _ => text(key, value)?
            .split(',')
            .map(|item| item.trim().to_owned())
            .collect(),
    };
    if items.iter().any(String::is_empty) {
        return Err(Fault::new("has an empty member", wanted(key)));
    }
    match items
        .iter()
        .enumerate()
        .find(|(index, item)| items[..*index].contains(item))
    {
        Some((_, twice)) => Err(Fault::new(format!("names {twice:?} twice"), "name it once")),
        None => Ok(items),
    }
}

/// Brokers as librdkafka takes them: `host:port,host:port`.
pub(super) fn brokers(key: &Key, value: &Value) -> Result<String, Fault> {
    let brokers = list(key, value)?;
    if brokers.is_empty() {
        return Err(Fault::new("names no broker", "give at least one host:port"));
    }
    match brokers.iter().find(|broker| !is_broker(broker)) {
        Some(broker) => Err(Fault::new(
            format!("{broker:?} is not host:port"),
            "give host:port, separated by commas",
        )),
        None => Ok(brokers.join(",")),
    }
}

fn is_broker(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else {
        return false;
    };
    let is_bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let has_odd_characters = host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@');
    !host.is_empty() && !is_bare_ipv6 && !has_odd_characters && port.parse().is_ok_and(|port: u16| port > 0)
}

pub(super) fn address(key: &Key, value: &Value) -> Result<SocketAddr, Fault> {
    text(key, value)?.parse().map_err(|_| wrong(key, value))
}

pub(super) fn topic(key: &Key, value: &Value) -> Result<TopicTemplate, Fault> {
    TopicTemplate::from_str(&text(key, value)?).map_err(|error| Fault::new(error.to_string(), wanted(key)))
}

pub(super) fn topic_name(key: &Key, value: &Value) -> Result<TopicName, Fault> {
    TopicName::from_str(&text(key, value)?).map_err(|error| Fault::new(error.to_string(), wanted(key)))
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

pub(super) fn filter(key: &Key, value: &Value) -> Result<String, Fault> {
    let filter = text(key, value)?;
    // To the library a bare word is the name of a place in the code, and whatever else there is goes silent.
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let word = filter.split(',').map(str::trim);
    if let Some(word) = word
        .filter(|word| !word.contains(['=', '[', ':']))
        .find(|word| !is_level(word))
    {
        let problem = format!("{word:?} is no level, and would silence everything else");
        let remedy = format!(
            "choose from {}, or say of what: outbox_relay::kafka=debug",
            LEVELS.join(", ")
        );
        return Err(Fault::new(problem, remedy));
    }
    match EnvFilter::builder().parse(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(Fault::new(format!("{filter:?} is not a filter: {error}"), wanted(key))),
    }
}

pub(super) fn secret(key: &Key, value: &Value) -> Result<Secret, Fault> {
    match &value.kind {
        // A private key in PEM has line breaks.
        ValueKind::String(text) if !text.is_empty() && !text.contains(['\0', char::REPLACEMENT_CHARACTER]) => {
            Ok(Secret::Value(SecretString::from(text.as_str())))
        }
        _ => Err(Fault::new(
            "is empty or not a text",
            format!("{}, in quotes, or remove the key", wanted(key)),
        )),
    }
}

/// A file. The reader looks whether it is there; what is in it is read when it is needed.
pub(super) fn file(key: &Key, value: &Value) -> Result<PathBuf, Fault> {
    text(key, value).map(PathBuf::from)
}

/// A file that holds a secret.
pub(super) fn secret_file(key: &Key, value: &Value) -> Result<Secret, Fault> {
    text(key, value).map(|path| Secret::File(PathBuf::from(path)))
}

/// Whether a file is there and may be read.
pub(super) fn can_be_opened(path: &str) -> Result<(), Fault> {
    let opened = File::open(path).map_err(|error| format!("{path} cannot be read: {error}"));
    opened.map(drop).map_err(unreadable)
}

/// The same for a file with a secret, which is read once.
pub(super) fn holds_a_secret(path: &str) -> Result<(), Fault> {
    let revealed = Secret::File(PathBuf::from(path)).reveal();
    revealed.map(drop).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(problem: String) -> Fault {
    Fault::new(problem, "name a file that the relay's user can read")
}

pub(super) fn property(key: &Key, value: &Value) -> Result<String, Fault> {
    scalar(value)
        .filter(|text| !text.contains(['\0', char::REPLACEMENT_CHARACTER]))
        .ok_or_else(|| Fault::new("is not a single value", wanted(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    fn read<T>(path: &str, parse: Parse<T>, given: impl Into<ValueKind>) -> Result<T, Fault> {
        parse(keys::find(path).expect("a key"), &Value::new(None, given))
    }

    #[test]
    fn a_number_is_read_from_a_number_and_from_text_and_only_inside_its_bounds() {
        assert_eq!(read("postgres.port", whole::<u16>, 5433_i64), Ok(5433));
        assert_eq!(read("postgres.port", whole::<u16>, "5433"), Ok(5433));
        assert_eq!(read("postgres.port", whole::<u16>, "65535"), Ok(65535));
        for outside in ["0", "65536", "-1", "5432.0", "", "many", " 1", "0x10"] {
            assert!(read("postgres.port", whole::<u16>, outside).is_err(), "{outside}");
        }
        assert!(read("postgres.port", whole::<u16>, 5432.0).is_err_and(|fault| fault.problem.contains("1 to 65535")));
    }

    #[test]
    fn a_switch_is_read_from_a_word_of_the_file_and_from_the_environments_text() {
        assert_eq!(read("retention.enabled", switch, true), Ok(true));
        assert_eq!(read("retention.enabled", switch, "false"), Ok(false));
        for neither in ["yes", "1", "True", ""] {
            assert!(read("retention.enabled", switch, neither).is_err(), "{neither}");
        }
    }

    #[test]
    fn a_slot_name_is_what_postgresql_accepts() {
        assert_eq!(read("postgres.slot", slot_name, "a_1").as_deref(), Ok("a_1"));
        let (longest, too_long) = ("x".repeat(63), "x".repeat(64));
        assert!(read("postgres.slot", slot_name, longest).is_ok());
        for bad in [too_long.as_str(), "", "Orders", "or-ders", "ä"] {
            assert!(read("postgres.slot", slot_name, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_column_is_one_that_the_table_does_not_have() {
        assert_eq!(read("outbox.a.columns.version", column, ""), Ok(None));
        assert_eq!(read("outbox.a.columns.version", column, "v"), Ok(Some("v".to_owned())));
        assert!(read("outbox.a.columns.payload", required_column, "").is_err());
    }

    #[test]
    fn a_list_is_an_array_or_separated_by_commas() {
        let expected = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(read("outbox.a.metadata_headers", list, "a, b"), expected);
        assert_eq!(read("outbox.a.metadata_headers", list, vec!["a", "b"]), expected);
        assert_eq!(read("outbox.a.metadata_headers", list, ""), Ok(vec![]));
        assert_eq!(read("outbox.a.metadata_headers", list, Vec::<Value>::new()), Ok(vec![]));
        assert!(read("outbox.a.metadata_headers", list, "a,,b").is_err());
        assert!(read("outbox.a.metadata_headers", list, "a,b,a").is_err_and(|fault| fault.problem.contains("twice")));
        assert!(read("outbox.a.metadata_headers", list, vec![1_i64]).is_err());
    }

    #[test]
    fn a_broker_is_a_host_with_a_port() {
        assert_eq!(
            read("kafka.bootstrap_servers", brokers, "a:1, [::1]:9092").as_deref(),
            Ok("a:1,[::1]:9092")
        );
        for bad in ["", "a", "a:0", "a:99999", ":9092", "::1:9092", "http://a:1", "a:1,b"] {
            assert!(read("kafka.bootstrap_servers", brokers, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_no_host_name() {
        assert!(read("admin.listen", address, "[::]:9464").is_ok());
        assert!(read("admin.listen", address, "localhost:9464").is_err());
        assert!(read("admin.listen", address, "127.0.0.1").is_err());
    }

    #[test]
    fn a_filter_that_tracing_does_not_understand_is_refused() {
        assert!(read("log.filter", filter, "info,outbox_relay::kafka=debug").is_ok());
        assert!(read("log.filter", filter, "info,outbox_relay=loud").is_err());
    }

    #[test]
    fn text_that_no_one_could_have_meant_is_refused() {
        for bad in ["", "a\0b", "a\nb", "a\u{fffd}b"] {
            assert!(read("kafka.client_id", text, bad).is_err(), "{bad:?}");
        }
        assert!(read("postgres.database", identifier, 5_i64).is_err());
    }

    #[test]
    fn a_fault_of_a_secret_does_not_hold_it() {
        let fault = read("postgres.password", secret, "hunter2\0").expect_err("a fault");
        assert!(!format!("{fault:?}").contains("hunter2"));
        assert!(read("postgres.password", secret, 123_456_i64).is_err_and(|f| !format!("{f:?}").contains("123456")));
    }

    #[test]
    fn a_property_is_any_single_value() {
        assert_eq!(read("kafka.properties.linger.ms", property, 0.5).as_deref(), Ok("0.5"));
        assert_eq!(read("kafka.properties.x", property, true).as_deref(), Ok("true"));
        assert!(read("kafka.properties.x", property, vec!["a"]).is_err());
    }
}

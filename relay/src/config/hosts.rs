//! Servers as they are written: `db1`, `db1:5433`, `[::1]:5433`, `/run/postgresql`; several with commas or as a list.

use config::Value;

use super::errors::Fault;
use super::key::Key;
use super::parse::list;
use super::settings::Host;

/// A host as it is written; its port is 0 where it names none.
pub(super) fn hosts(key: &Key, value: &Value) -> Result<Vec<Host>, Fault> {
    let written = list(key, value)?;
    if written.is_empty() {
        return Err(Fault::new("names no host", "name one, such as db1 or db1:5433"));
    }
    written.iter().map(|text| host(text)).collect()
}

fn host(text: &str) -> Result<Host, Fault> {
    let wrong = || {
        let remedy = "write a name, an address or a socket directory, perhaps with a port: db1:5433 or [::1]:5433";
        Fault::new(format!("{text:?} is not a host"), remedy)
    };
    let (name, port) = split(text).ok_or_else(wrong)?;
    let is_name = !name.is_empty() && !name.contains(['@', '?', ' ']) && !name.contains("//");
    let port = port.map_or(Some(0), |port| port.parse().ok().filter(|port| *port != 0));
    let name = name.to_owned();
    match port {
        Some(port) if is_name => Ok(Host { name, port }),
        _ => Err(wrong()),
    }
}

fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('/') {
        return Some((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return match port {
            "" => Some((address, None)),
            port => Some((address, Some(port.strip_prefix(':')?))),
        };
    }
    match text.matches(':').count() {
        1 => text.split_once(':').map(|(name, port)| (name, Some(port))),
        // No port, or an IPv6 address without brackets.
        _ => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, u16)> {
        host(text).ok().map(|host| (host.name, host.port))
    }

    #[test]
    fn a_host_may_name_its_port() {
        for (text, name, port) in [
            ("db1", "db1", 0),
            ("db1:5433", "db1", 5433),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("::1", "::1", 0),
            ("[::1]", "::1", 0),
            ("[::1]:5433", "::1", 5433),
            ("/run/postgresql", "/run/postgresql", 0),
        ] {
            assert_eq!(read(text), Some((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for text in [
            "",
            ":5432",
            "db1:",
            "db1:0",
            "db1:x",
            "[::1",
            "[::1]5433",
            "postgres://db1/shop",
            "u@db1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

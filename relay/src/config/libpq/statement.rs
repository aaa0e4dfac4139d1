//! From a keyword with its value to a key of ours with its value.

use config::ValueKind;

use super::{Means, Parameter};
use crate::config::errors::Fault;

/// What is said about one of our keys.
#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) key: &'static str,
    /// Nothing takes back what lower layers say.
    pub(super) value: Option<ValueKind>,
}

/// What is wrong with what a keyword says. It quotes no value that is not a word of libpq.
pub(super) struct Wrong {
    pub(super) keyword: &'static str,
    pub(super) fault: Fault,
}

/// What the parameters say together, and what is wrong with them.
pub(super) fn statements(parameters: &[Parameter]) -> (Vec<Statement>, Vec<Wrong>) {
    let (mut statements, mut faults) = (Vec::new(), Vec::new());
    let said = |name: &str| {
        let found = parameters.iter().find(|parameter| parameter.keyword.name == name);
        found.map(|parameter| parameter.value.as_str())
    };
    match servers(said("host"), said("port")) {
        Ok(said) => statements.extend(said),
        Err((keyword, fault)) => faults.push(Wrong { keyword, fault }),
    }
    for parameter in parameters {
        let keyword = parameter.keyword.name;
        match statement(parameter) {
            Ok(said) => statements.extend(said),
            Err(fault) => faults.push(Wrong { keyword, fault }),
        }
    }
    let trusts_the_system = said("sslrootcert") == Some("system");
    if trusts_the_system && said("sslmode").is_some_and(|mode| mode != "verify-full") {
        let fault = Fault::new(
            "says sslrootcert=system with a sslmode that does not verify the name",
            "write sslmode=verify-full: anybody can have a certificate of a public CA",
        );
        faults.push(Wrong {
            keyword: "sslmode",
            fault,
        });
    }
    (statements, faults)
}

fn statement(Parameter { keyword, value }: &Parameter) -> Result<Option<Statement>, Fault> {
    let name = keyword.name;
    match keyword.means {
        // Both together.
        Means::Key("postgres.host" | "postgres.port") => Ok(None),
        Means::Key(key @ "postgres.tls_ca_file") if value == "system" => Ok(Some(Statement { key, value: None })),
        Means::Key(key) => Ok(Some(says(key, value))),
        Means::Seconds(key) => match value.trim().parse::<u32>() {
            Ok(seconds @ 1..) => Ok(Some(says(key, &(u64::from(seconds) * 1000).to_string()))),
            _ => Err(Fault::new(
                format!("has a {name} that is no number of seconds from 1 on"),
                "give one; the relay never waits without a limit",
            )),
        },
        Means::Words { key, words, refused } => {
            let is = |word: &str| word.eq_ignore_ascii_case(value);
            if let Some((_, ours)) = words.iter().find(|(theirs, _)| is(theirs)) {
                return Ok(Some(says(key, ours)));
            }
            let choose: Vec<_> = words.iter().map(|(theirs, _)| *theirs).collect();
            let remedy = format!("choose {name} from {}", choose.join(", "));
            Err(match refused.iter().find(|(theirs, _)| is(theirs)) {
                Some((theirs, reason)) => {
                    Fault::new(format!("says {name}={theirs}, which is refused: {reason}"), remedy)
                }
                None => Fault::new(format!("has a {name} that libpq does not know"), remedy),
            })
        }
        Means::Already { values, .. } if values.is_empty() || values.contains(&value.as_str()) => Ok(None),
        Means::Already { reason, instead, .. } | Means::Refused { reason, instead, .. } => {
            Err(Fault::new(format!("says {name}, which is refused: {reason}"), instead))
        }
    }
}

/// One port, or the same for all, goes into its own key, where a higher layer can overrule it.
fn servers(host: Option<&str>, port: Option<&str>) -> Result<Vec<Statement>, (&'static str, Fault)> {
    let ports = port
        .map(|ports| ports.split(',').collect::<Vec<_>>())
        .unwrap_or_default();
    let Some(host) = host else {
        return match ports[..] {
            [] => Ok(vec![]),
            [port] => Ok(vec![says("postgres.port", port)]),
            _ => Err((
                "port",
                Fault::new("has several ports and no host", "name the hosts too"),
            )),
        };
    };
    let hosts: Vec<&str> = host.split(',').collect();
    if hosts.iter().any(|host| !is_host(host)) {
        let problem = "has something among its hosts that is no host";
        let remedy = "name hosts, addresses or socket directories, with commas between; ports go into port";
        return Err(("host", Fault::new(problem, remedy)));
    }
    match ports[..] {
        [] | [""] => Ok(vec![says("postgres.host", &hosts.join(","))]),
        [port, ref others @ ..]
            if others.iter().all(|other| *other == port) && (others.is_empty() || ports.len() == hosts.len()) =>
        {
            Ok(vec![
                says("postgres.host", &hosts.join(",")),
                says("postgres.port", port),
            ])
        }
        _ => pairwise(&hosts, &ports).map_err(|fault| ("port", fault)),
    }
}

fn says(key: &'static str, value: &str) -> Statement {
    Statement {
        key,
        value: Some(ValueKind::String(value.to_owned())),
    }
}

fn pairwise(hosts: &[&str], ports: &[&str]) -> Result<Vec<Statement>, Fault> {
    if ports.len() != hosts.len() {
        let problem = format!("has {} hosts and {} ports", hosts.len(), ports.len());
        return Err(Fault::new(problem, "give one port for each host, or one for all"));
    }
    if hosts.iter().any(|host| host.starts_with('/')) {
        return Err(Fault::new(
            "has several ports, and one of the hosts is a socket directory",
            "give one port for all, or leave the directory out",
        ));
    }
    let written: Vec<_> = hosts
        .iter()
        .zip(ports)
        .map(|(host, port)| with_port(host, port))
        .collect();
    Ok(vec![says("postgres.host", &written.join(","))])
}

/// The reader of our own key would take what follows a colon for a port.
fn is_host(host: &str) -> bool {
    let address = host.split('%').next().unwrap_or_default();
    let is_address = !host.contains(':') || address.parse::<std::net::Ipv6Addr>().is_ok();
    is_address && !host.is_empty() && !host.contains(['@', '?', ' ', '[', ']']) && !host.contains("//")
}

fn with_port(host: &str, port: &str) -> String {
    // libpq's default, whatever other layers say.
    let port = if port.is_empty() { "5432" } else { port };
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

//! What libpq's programs understand: connection strings in both forms, and the PG* variables.
//!
//! ```text
//! postgres.url, postgres.url_file ─► url or pairs ─► keywords ─► statement ─► expand: into the layer they stand in
//! PGHOST, PGPORT, …               ──────────────────► keywords ─► statement ─► fill: below all layers
//! ```
//!
//! `tokio-postgres` parses both forms too, but knows neither verify-full nor the certificates, and would take the
//! password of a server's URL for a part of the host.

mod expand;
mod fill;
pub(super) mod keywords;
mod pairs;
mod statement;
mod url;

pub(super) use expand::expand;
pub(super) use fill::fill;
use keywords::Keyword;

use super::errors::Fault;

/// The key that holds a connection string.
pub(super) const URL: &str = "postgres.url";
/// The key that names a file with one.
pub(super) const URL_FILE: &str = "postgres.url_file";
/// Begins the origin of what a connection string said.
const SPREAD: &str = "postgres.url";
/// Begins the origin of what a variable of libpq said.
const VARIABLE: &str = "environment variable PG";

/// What one of libpq's keywords is to the relay.
#[derive(Debug, Clone, Copy)]
pub(super) enum Means {
    /// One of our keys, with the same values.
    Key(&'static str),
    /// One of our keys in milliseconds.
    Seconds(&'static str),
    /// One of our keys, where other words say the same.
    Words {
        /// Our key.
        key: &'static str,
        /// libpq's word and ours.
        words: &'static [(&'static str, &'static str)],
        /// Words that are refused, with the reason.
        refused: &'static [(&'static str, &'static str)],
    },
    /// Nothing is to be done.
    Already {
        /// For these values; for all if there is none.
        values: &'static [&'static str],
        /// Why.
        reason: &'static str,
        /// What to do about another value.
        instead: &'static str,
    },
    /// Not accepted, because ignoring it would change where or how the relay connects.
    Refused {
        /// Why.
        reason: &'static str,
        /// What to do instead.
        instead: &'static str,
        /// A variable that is overruled by these keys is passed over.
        unless: &'static [&'static str],
    },
}

impl Means {
    /// The keys of ours that say it too.
    pub(super) const fn keys(&self) -> &[&'static str] {
        match self {
            Self::Key(key) | Self::Seconds(key) | Self::Words { key, .. } => std::slice::from_ref(key),
            Self::Already { .. } => &[],
            Self::Refused { unless, .. } => unless,
        }
    }
}

/// A keyword with its value.
struct Parameter {
    keyword: &'static Keyword,
    value: String,
}

/// Whether the variable is one of libpq's that the relay looks at.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with("PG") && keywords::KEYWORDS.iter().any(|keyword| keyword.variable == name)
}

/// Whether a value with this origin was said in a connection string, so that no message may quote it: where a password
/// was not encoded, a part of it may have got anywhere.
pub(super) fn is_spread(origin: &str) -> bool {
    origin.starts_with(SPREAD)
}

/// Whether a value with this origin was said by the file that `postgres.url_file` names.
pub(super) fn is_from_url_file(origin: &str) -> bool {
    origin.starts_with(URL_FILE)
}

/// Whether a value with this origin was said in libpq's words.
pub(super) fn is_libpqs(origin: &str) -> bool {
    is_spread(origin) || origin.starts_with(VARIABLE)
}

/// The password in a connection string, if there is one.
///
/// # Errors
/// It is none.
pub(super) fn password(text: &str) -> Result<Option<String>, String> {
    let parameters = parse(text).map_err(|faults| {
        faults
            .into_iter()
            .map(|fault| fault.problem)
            .collect::<Vec<_>>()
            .join("; ")
    })?;
    let password = parameters
        .into_iter()
        .find(|parameter| parameter.keyword.name == "password");
    Ok(password.map(|parameter| parameter.value))
}

/// The parameters of a connection string that have a value, or all that is wrong with it.
fn parse(text: &str) -> Result<Vec<Parameter>, Vec<Fault>> {
    let (mut parameters, mut faults) = (Vec::<Parameter>::new(), Vec::new());
    for (name, value) in pairs(text.trim()).map_err(|fault| vec![fault])? {
        match keywords::find(&name) {
            _ if value.is_empty() => {}
            Some(keyword) if parameters.iter().any(|earlier| earlier.keyword.name == keyword.name) => {
                faults.push(Fault::new(format!("says {} twice", keyword.name), "say it once"));
            }
            Some(keyword) => parameters.push(Parameter { keyword, value }),
            None => faults.push(unknown(&name)),
        }
    }
    if faults.is_empty() { Ok(parameters) } else { Err(faults) }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let scheme = ["postgres://", "postgresql://"]
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match scheme {
        Some(rest) => url::parse(rest),
        None if text.split_once("://").is_some_and(|(before, _)| !before.contains('=')) => Err(Fault::new(
            "is the URL of something else",
            "begin it with postgres:// or postgresql://",
        )),
        None => pairs::parse(text),
    }
}

/// The name is shown only where it resembles a keyword: otherwise it may be a part of a password.
fn unknown(name: &str) -> Fault {
    match keywords::nearest(name) {
        Some(near) => Fault::new(
            format!("has a keyword that libpq does not know: {name:?}"),
            format!("did you mean {near}?"),
        ),
        None => Fault::new(
            "has a keyword that libpq does not know",
            "remove it; docs/CONFIGURATION.md lists the keywords; in a password write & as %26, or quote it",
        ),
    }
}

#[cfg(test)]
mod tests;

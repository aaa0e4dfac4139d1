//! libpq's variables, below everything that was given in our own words.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::keywords::{KEYWORDS, Keyword};
use super::statement::{Wrong, statements};
use super::{Means, Parameter, is_libpqs, keywords};
use crate::config::errors::{ConfigError, Fault};

const MODE: &str = "postgres.tls_mode";

/// Fills what nothing gives with what libpq's variables say. A variable that is overruled is not even looked at, so that
/// a whole configuration cannot be spoilt by what is meant for psql; any other is refused by name if the relay cannot
/// do what it asks.
pub(in crate::config) fn fill(
    given: &mut BTreeMap<String, Value>,
    environment: &[(String, String)],
    errors: &mut Vec<ConfigError>,
) {
    let parameters: Vec<Parameter> = KEYWORDS
        .iter()
        .filter(|keyword| !is_overruled(keyword, given))
        .filter_map(|keyword| {
            Some(Parameter {
                keyword,
                value: variable(keyword, environment)?,
            })
        })
        .filter(|parameter| !is_part_of_a_list(parameter, given))
        .collect();
    let (said, wrong) = statements(&parameters);
    for statement in said {
        let keyword = KEYWORDS.iter().find(|keyword| keyword.means.keys() == [statement.key]);
        if let (Some(keyword), Some(value)) = (keyword, statement.value) {
            given.insert(
                statement.key.to_owned(),
                Value::new(Some(&origin(keyword.variable)), value),
            );
        }
    }
    let named = |wrong: Wrong| Some(error(keywords::find(wrong.keyword)?, wrong.fault));
    errors.extend(wrong.into_iter().filter_map(named));
    verify_a_given_root(given);
}

fn error(keyword: &Keyword, fault: Fault) -> ConfigError {
    let key = match keyword.means {
        Means::Key(key) | Means::Seconds(key) | Means::Words { key, .. } => key,
        Means::Already { .. } | Means::Refused { .. } => "",
    };
    let remedy = format!("{}; or unset the variable", fault.remedy);
    Fault::new(fault.problem, remedy).at(key, &origin(keyword.variable))
}

fn origin(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// An empty one is as if it were not set.
fn variable(keyword: &Keyword, environment: &[(String, String)]) -> Option<String> {
    let set = environment
        .iter()
        .find(|(name, value)| !value.is_empty() && name == keyword.variable);
    set.map(|(_, value)| value.clone())
}

fn is_overruled(keyword: &Keyword, given: &BTreeMap<String, Value>) -> bool {
    let is_given = |key: &str| given.contains_key(key);
    match keyword.means {
        Means::Key("postgres.password" | "postgres.passfile") => {
            ["postgres.password", "postgres.password_file", "postgres.passfile"]
                .into_iter()
                .any(is_given)
        }
        // One of the pair alone would belong to another.
        Means::Key("postgres.tls_certificate_file" | "postgres.tls_key_file") => {
            ["postgres.tls_certificate_file", "postgres.tls_key_file"]
                .into_iter()
                .any(is_given)
        }
        means => !means.keys().is_empty() && means.keys().iter().all(|key| is_given(key)),
    }
}

/// A list of ports belongs to the list of hosts in `PGHOST`.
fn is_part_of_a_list(parameter: &Parameter, given: &BTreeMap<String, Value>) -> bool {
    parameter.keyword.name == "port" && parameter.value.contains(',') && given.contains_key("postgres.host")
}

/// To libpq `require` means `verify-ca` as soon as there is a root certificate; to verify less than it did would be a
/// trap. Our own `require` verifies nothing, and says so.
fn verify_a_given_root(given: &mut BTreeMap<String, Value>) {
    let has_root = given.contains_key("postgres.tls_ca_file");
    let Some(mode) = given.get_mut(MODE).filter(|_| has_root) else {
        return;
    };
    let origin = mode.origin().unwrap_or_default().to_owned();
    if is_libpqs(&origin) && mode.kind == ValueKind::String("require".to_owned()) {
        *mode = Value::new(Some(&origin), ValueKind::String("verify-ca".to_owned()));
    }
}

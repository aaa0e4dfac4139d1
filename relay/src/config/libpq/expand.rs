//! A connection string, spread over our own keys in the layer where it stands.

use config::{Value, ValueKind};
use secrecy::ExposeSecret;

use super::statement::{Statement, statements};
use super::{URL, URL_FILE, parse};
use crate::config::Secret;
use crate::config::errors::{ConfigError, Fault};
use crate::config::layer::Layer;
use crate::config::parse::scalar;

/// Spreads the connection string of the highest layer that has one; those below it are as if they were not there.
/// `layers` begin with the lowest. `false` if it could not be read, so that a missing key may be no mistake.
pub(in crate::config) fn expand(layers: &mut [Layer], without_files: bool, errors: &mut Vec<ConfigError>) -> bool {
    let holder = layers
        .iter()
        .rposition(|layer| layer.get(URL).or(layer.get(URL_FILE)).is_some());
    let Some((above, layer)) = holder.and_then(|holder| {
        let (below, above) = layers.split_at_mut(holder + 1);
        Some((above, below.last_mut()?))
    }) else {
        return true;
    };
    match (layer.get(URL).cloned(), layer.get(URL_FILE).cloned()) {
        (Some(url), Some(file)) => {
            let problem = format!("is given beside {URL_FILE} ({})", origin(&file));
            errors.push(Fault::new(problem, "keep one of the two").at(URL, origin(&url)));
            false
        }
        (Some(url), None) => {
            layer.take_back(URL_FILE);
            let text = scalar(&url);
            text.is_some_and(|text| spread(&text, (URL, origin(&url)), layer, above, errors))
        }
        (None, Some(_)) if without_files => false,
        (None, Some(file)) => {
            layer.take_back(URL);
            // That it cannot be read is told where all files are looked at.
            let text = scalar(&file).and_then(|path| Secret::File(path.into()).reveal().ok());
            text.is_some_and(|text| {
                let text = text.expose_secret();
                spread(text, (URL_FILE, origin(&file)), layer, above, errors)
            })
        }
        (None, None) => true,
    }
}

fn origin(value: &Value) -> &str {
    value.origin().unwrap_or_default()
}

fn spread(
    text: &str,
    (key, origin): (&str, &str),
    layer: &mut Layer,
    above: &[Layer],
    errors: &mut Vec<ConfigError>,
) -> bool {
    let (said, faults) = match parse(text) {
        Ok(parameters) => {
            let (said, wrong) = statements(&parameters);
            (said, wrong.into_iter().map(|wrong| wrong.fault).collect())
        }
        Err(faults) => (Vec::new(), faults),
    };
    let is_understood = faults.is_empty();
    errors.extend(faults.into_iter().map(|fault| fault.at(key, origin)));
    let from = format!("{key} ({origin})");
    for Statement { key, value } in said {
        if above.iter().any(|layer| given(layer, key).is_some()) {
            continue;
        }
        if let Some((rival, other)) = given(layer, key) {
            let problem = format!("is given beside {from}, which says it too");
            errors.push(Fault::new(problem, "keep one of the two").at(rival, &other));
            continue;
        }
        for rival in rivals(key) {
            layer.take_back(rival);
        }
        layer.put(key, Value::new(Some(&from), value.unwrap_or(ValueKind::Nil)));
    }
    is_understood
}

/// The key of those that say the same which this layer gives, and its origin.
fn given(layer: &Layer, key: &'static str) -> Option<(&'static str, String)> {
    rivals(key)
        .iter()
        .find_map(|rival| Some((*rival, origin(layer.get(rival)?).to_owned())))
}

/// The keys of which one says what another says too.
fn rivals(key: &'static str) -> Vec<&'static str> {
    match key {
        "postgres.password" => vec!["postgres.password", "postgres.password_file"],
        key => vec![key],
    }
}

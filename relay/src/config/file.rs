//! The configuration file.

use std::path::Path;

use config::{FileFormat, Source};

use super::errors::{ConfigError, Fault};
use super::leaves::Leaves;

/// The keys of the file at `path`, or why there are none.
pub(super) fn read(path: &Path) -> Result<Leaves, ConfigError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fault::new(
            format!("cannot be read: {error}"),
            "name a readable file with --config or OUTBOX_RELAY_CONFIG, or name none",
        )
        .at("", &origin)
    })?;
    let table = config::File::from_str(&text, FileFormat::Toml)
        .collect()
        .map_err(|error| {
            Fault::new(
                format!("is not TOML: {}", without_snippet(&error.to_string())),
                "correct the file",
            )
            .at("", &origin)
        })?;
    Ok(Leaves::flatten(table, Some(&origin)))
}

/// The parser quotes the line it stumbled over, and that line may hold a password: keep the place and the reason.
fn without_snippet(message: &str) -> String {
    let is_quote = |line: &str| line.split_once('|').is_some_and(|(number, _)| is_line_number(number));
    let kept: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_quote(line))
        .collect();
    kept.join(": ")
}

fn is_line_number(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::key::Fallback;
    use crate::config::keys::{self, KEYS};
    use crate::config::trial::Trial;
    use crate::config::{file, parse};

    const EXAMPLE: &str = include_str!("../../../deploy/outbox-relay.toml");

    #[test]
    fn the_example_file_is_a_configuration() {
        Trial::of(EXAMPLE).load().expect("no error");
    }

    #[test]
    fn the_example_file_shows_every_key_with_its_default_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("relay.toml");
        let lines: Vec<&str> = EXAMPLE.lines().map(switched_on).collect();
        std::fs::write(&path, lines.join("\n")).expect("written");
        let leaves = file::read(&path).expect("TOML").values;
        let shown: BTreeMap<_, _> = leaves
            .iter()
            .map(|leaf| (leaf.path.as_str(), parse::shown(&leaf.value)))
            .collect();

        for path in shown.keys() {
            assert!(keys::find(path).is_some(), "{path} is no key");
        }
        for key in KEYS {
            let value = shown
                .iter()
                .find(|(path, _)| keys::find(path).is_some_and(|found| found.path == key.path));
            let (_, value) = value.unwrap_or_else(|| panic!("{} is not shown", key.path));
            if let Fallback::Value(default) = key.default {
                assert_eq!(value, default, "{}", key.path);
            }
        }
    }

    /// In the example a key is switched off by a `#` without a space behind it.
    fn switched_on(line: &str) -> &str {
        line.strip_prefix('#')
            .filter(|rest| !rest.starts_with([' ', '#']))
            .unwrap_or(line)
    }

    #[test]
    fn a_syntax_error_names_file_and_line_and_quotes_nothing() {
        for broken in [
            "password = \"hunter2",
            "password = hunter2",
            "password = \"hunter2\" hunter2",
            "hunter2",
        ] {
            let errors = Trial::of(&format!("[postgres]\n{broken}\n")).errors();
            assert_eq!(errors.iter().count(), 1, "{errors}");
            let shown = errors.to_string();
            assert!(shown.contains("relay.toml") && shown.contains("line 2"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let errors = Trial::empty().with_file("/no/such/file.toml").errors();
        assert!(
            errors.to_string().contains("/no/such/file.toml\n    cannot be read"),
            "{errors}"
        );
    }

    #[test]
    fn errors_in_the_environment_are_reported_beside_those_of_a_broken_file() {
        let errors = Trial::of("[postgres").env("POSTGRES__PORT", "0").errors();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["", "postgres.port"], "{errors}");
    }
}

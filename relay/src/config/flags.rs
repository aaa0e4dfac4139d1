//! Flags: `--set postgres.host=db1`.

use config::{Value, ValueKind};

use super::errors::{ConfigError, Fault};
use super::keys;
use super::leaves::{Leaf, Leaves};

/// The keys that the flags give; of two flags for one key the later counts.
pub(super) fn read(flags: &[String], errors: &mut Vec<ConfigError>) -> Leaves {
    let mut leaves: Vec<Leaf> = Vec::new();
    for (index, flag) in flags.iter().enumerate() {
        match leaf(index, flag) {
            Ok(leaf) => {
                leaves.retain(|earlier| earlier.path != leaf.path);
                leaves.push(leaf);
            }
            Err(error) => errors.push(error),
        }
    }
    Leaves::of(leaves)
}

fn leaf(index: usize, flag: &str) -> Result<Leaf, ConfigError> {
    let Some((path, value)) = flag.split_once('=') else {
        // What stands there instead may be a secret, unless it is the path of a key.
        let origin = if keys::find(flag).is_some() {
            format!("--set {flag}")
        } else {
            format!("--set no. {}", index + 1)
        };
        return Err(
            Fault::new("has no '='", "write --set path=value, such as --set postgres.host=db1").at("", &origin),
        );
    };
    let path = path.trim().replace('"', "");
    let origin = format!("--set {path}");
    Ok(Leaf {
        path,
        value: Value::new(Some(&origin), ValueKind::String(value.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::trial::Trial;

    #[test]
    fn of_two_flags_for_one_key_the_later_counts() {
        let trial = Trial::minimal().flag("postgres.user=db1").flag("postgres.user=db=2");
        assert_eq!(trial.load().expect("no error").settings.postgres.user, "db=2");
    }

    #[test]
    fn a_property_can_be_set_with_and_without_quotes() {
        let trial = Trial::minimal()
            .flag("kafka.properties.linger.ms=1")
            .flag("kafka.properties.\"batch.size\"=2000");
        let properties = trial.load().expect("no error").settings.kafka.properties;
        assert_eq!(
            (properties["linger.ms"].as_str(), properties["batch.size"].as_str()),
            ("1", "2000")
        );
    }

    #[test]
    fn a_flag_without_a_value_is_refused_and_shows_no_secret() {
        let errors = Trial::minimal()
            .flag("postgres.host")
            .flag("postgres.password hunter2")
            .errors();
        let shown = errors.to_string();
        assert!(shown.contains("--set postgres.host\n    has no '='"), "{shown}");
        assert!(shown.contains("--set no. 2"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_secret_is_refused_on_the_command_line_with_the_reason_and_the_alternative() {
        let errors = Trial::minimal()
            .flag("postgres.password=hunter2")
            .flag("kafka.properties.sasl.password=hunter2")
            .errors();
        let shown = errors.to_string();
        assert_eq!(errors.iter().count(), 2, "{shown}");
        assert!(
            shown.contains("every process on the machine can read the command line"),
            "{shown}"
        );
        assert!(shown.contains("postgres.password_file"), "{shown}");
        assert!(shown.contains("kafka.property_files.\"sasl.password\""), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

//! The layers, one above the other: libpq's variables, file, environment, flags.

use std::collections::{BTreeMap, BTreeSet};

use config::builder::{ConfigBuilder, DefaultState};
use config::{Config, Value, ValueKind};

use super::errors::{ConfigError, Fault};
use super::layer::{Channel, Layer};
use super::leaves::Leaves;
use super::{Sources, environment, file, flags, libpq};

/// What was given, all layers together.
#[derive(Default)]
pub(super) struct Given {
    /// By path.
    pub(super) values: BTreeMap<String, Value>,
    /// Paths of tables without a value.
    pub(super) empty_tables: BTreeSet<String>,
    /// Whether a file was named.
    pub(super) has_file: bool,
    /// Whether a source could not be read, so that a missing key may be no mistake.
    pub(super) incomplete: bool,
}

/// Reads the sources and merges them; what is wrong goes to `errors`.
pub(super) fn merge(sources: &Sources, errors: &mut Vec<ConfigError>) -> Given {
    let named = sources
        .file
        .clone()
        .or_else(|| environment::config_file(&sources.environment).map(Into::into));
    let has_file = named.is_some();
    let from_file = named.map(|path| file::read(&path)).transpose();
    let incomplete = from_file.is_err();
    let from_file = from_file.unwrap_or_else(|error| {
        errors.push(error);
        None
    });
    let layers = [
        (Channel::File, from_file.unwrap_or_default()),
        (Channel::Environment, environment::read(&sources.environment)),
        (Channel::Flags, flags::read(&sources.flags, errors)),
    ];
    let mut layers = layers.map(|(channel, leaves)| Layer::admit(channel, leaves, errors));
    let is_understood = libpq::expand(&mut layers, sources.without_files, errors);
    let merged = layers
        .into_iter()
        .fold(Config::builder(), ConfigBuilder::<DefaultState>::add_source)
        .build();
    match merged {
        Ok(merged) => {
            let mut given = Given {
                has_file,
                incomplete: incomplete || !is_understood,
                ..Given::of(merged)
            };
            libpq::fill(&mut given.values, &sources.environment, errors);
            given
        }
        Err(error) => {
            errors.push(Fault::new(error.to_string(), "correct the sources").at("", "all sources together"));
            Given::default()
        }
    }
}

impl Given {
    fn of(merged: Config) -> Self {
        let ValueKind::Table(root) = merged.cache.kind else {
            return Self::default();
        };
        let leaves = Leaves::flatten(root);
        Self {
            values: leaves
                .values
                .into_iter()
                .filter(|leaf| leaf.value.kind != ValueKind::Nil)
                .map(|leaf| (leaf.path, leaf.value))
                .collect(),
            empty_tables: leaves.empty_tables.into_iter().map(|(path, _)| path).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::trial::Trial;

    #[test]
    fn the_environment_wins_over_the_file_and_a_flag_over_both() {
        let file = "postgres.database = 'file'\npostgres.user = 'file'\npostgres.host = 'file'\n\
                    kafka.bootstrap_servers = 'b:9092'";
        let trial = Trial::of(file)
            .env("POSTGRES__USER", "environment")
            .env("POSTGRES__HOST", "environment")
            .flag("postgres.host=flag");
        let postgres = trial.load().expect("no error").settings.postgres;
        assert_eq!(
            (postgres.database, postgres.user, postgres.hosts[0].name.clone()),
            ("file".into(), "environment".into(), "flag".into())
        );
    }

    #[test]
    fn the_later_layer_wins_under_whatever_name_librdkafka_has_for_a_property() {
        let trial = Trial::minimal()
            .and("kafka.properties.\"compression.type\" = 'lz4'")
            .env("KAFKA__PROPERTIES__COMPRESSION_CODEC", "zstd");
        let properties = trial.load().expect("no error").settings.kafka.properties;
        let given: Vec<_> = properties
            .iter()
            .filter(|(name, _)| name.starts_with("compression"))
            .collect();
        assert_eq!(given, [(&"compression.type".to_owned(), &"zstd".to_owned())]);
    }

    #[test]
    fn a_key_given_in_two_layers_is_checked_in_both() {
        let trial = Trial::minimal()
            .and("kafka.properties.acks = 1")
            .flag("kafka.properties.acks=all");
        assert_eq!(trial.errors().iter().count(), 2);
    }
}

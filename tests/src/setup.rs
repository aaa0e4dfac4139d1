//! What a scenario starts with.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Outcome;
use crate::scenario::Scenario;
use crate::settings::Settings;

/// Chosen step by step, then started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub(crate) label: String,
    pub(crate) partitions: i32,
    pub(crate) topic_config: Vec<(String, String)>,
    pub(crate) aggregate_type: String,
    pub(crate) topic: String,
    pub(crate) sql: String,
    pub(crate) settings: Settings,
    pub(crate) private_postgres: Option<Vec<(String, String)>>,
    /// Of the private `PostgreSQL`; without it, the one that the environment chooses.
    pub(crate) postgres_version: Option<u32>,
    /// Brokers of a Kafka of its own.
    pub(crate) private_brokers: Option<usize>,
    pub(crate) kafka_version: Option<&'static str>,
    /// Of the private Kafka: where it listens too, and where it tells those who come there to find it.
    pub(crate) kafka_detour: Option<(u16, u16)>,
    /// Where the private `PostgreSQL` and the private Kafka keep their data.
    pub(crate) postgres_disk: Option<PathBuf>,
    pub(crate) kafka_disk: Option<PathBuf>,
    pub(crate) with_topic: bool,
    pub(crate) stage: Stage,
}

/// How far the database is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing but the statements of [`Setup::sql`].
    Database,
    /// Roles, tables and publication.
    Migrated,
    /// The slot as well.
    Slot,
}

impl Setup {
    /// A database, roles, publication, slot, and one topic with three partitions, all of its own. The label is a part of
    /// their names: a-z, 0-9 and _.
    pub fn new(label: &str) -> Setup {
        Setup {
            label: label.to_owned(),
            partitions: 3,
            topic_config: Vec::new(),
            aggregate_type: "order".to_owned(),
            topic: "{name}.{aggregate_type}".to_owned(),
            sql: String::new(),
            settings: Settings::default(),
            private_postgres: None,
            postgres_version: None,
            private_brokers: None,
            kafka_version: None,
            kafka_detour: None,
            postgres_disk: None,
            kafka_disk: None,
            with_topic: true,
            stage: Stage::Slot,
        }
    }

    /// Number of partitions of the topic.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Setup {
        self.partitions = partitions;
        self
    }

    /// A setting of the topic.
    #[must_use]
    pub fn topic_config(mut self, key: &str, value: &str) -> Setup {
        self.topic_config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The topic template, where `{name}` stands for the scenario, and the aggregate type of the rows, likewise.
    #[must_use]
    pub fn topic(mut self, template: &str, aggregate_type: &str) -> Setup {
        template.clone_into(&mut self.topic);
        aggregate_type.clone_into(&mut self.aggregate_type);
        self
    }

    /// Statements for the database before it is migrated, such as an outbox table of another shape.
    #[must_use]
    pub fn sql(mut self, statements: &str) -> Setup {
        self.sql.push_str(statements);
        self
    }

    /// A key of the relay's configuration.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Setup {
        self.settings.set(key, value);
        self
    }

    /// A `PostgreSQL` of its own, with these server settings.
    #[must_use]
    pub fn private_postgres(mut self, settings: &[(&str, &str)]) -> Setup {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        self.private_postgres = Some(settings.iter().map(owned).collect());
        self
    }

    /// Which major version [`Setup::private_postgres`] is of.
    #[must_use]
    pub fn postgres_version(mut self, major: u32) -> Setup {
        self.postgres_version = Some(major);
        self
    }

    /// A Kafka of its own.
    #[must_use]
    pub fn private_kafka(mut self) -> Setup {
        self.private_brokers = Some(1);
        self
    }

    /// Where [`Setup::private_postgres`] keeps its data.
    #[must_use]
    pub fn postgres_disk(mut self, folder: &Path) -> Setup {
        self.postgres_disk = Some(folder.to_owned());
        self
    }

    /// A Kafka of its own that keeps its data there.
    #[must_use]
    pub fn kafka_disk(mut self, folder: &Path) -> Setup {
        self.kafka_disk = Some(folder.to_owned());
        self.private_kafka()
    }

    /// A Kafka of its own that listens at one more port, and sends those who come there to `advertised`.
    #[must_use]
    pub fn kafka_detour(mut self, listen: u16, advertised: u16) -> Setup {
        self.kafka_detour = Some((listen, advertised));
        self.private_kafka()
    }

    /// Which release [`Setup::private_kafka`] is, as `3.6.2`. It has encrypted ways in too.
    #[must_use]
    pub fn kafka_version(mut self, version: &'static str) -> Setup {
        self.kafka_version = Some(version);
        self
    }

    /// A Kafka of its own with three brokers; its topics have a replica on each.
    #[must_use]
    pub fn three_brokers(mut self) -> Setup {
        self.private_brokers = Some(3);
        self
    }

    /// Leaves out `outbox-relay migrate`, and the slot with it.
    #[must_use]
    pub fn without_migration(mut self) -> Setup {
        self.stage = Stage::Database;
        self
    }

    /// Leaves out `outbox-relay slot create`.
    #[must_use]
    pub fn without_slot(mut self) -> Setup {
        self.stage = Stage::Migrated;
        self
    }

    /// Leaves out the topic.
    #[must_use]
    pub fn without_topic(mut self) -> Setup {
        self.with_topic = false;
        self
    }

    /// Starts the scenario.
    ///
    /// # Errors
    /// Anything that keeps it from starting; what was made by then is removed.
    pub fn start(&self) -> Outcome<Scenario> {
        Scenario::start(self)
    }
}

//! Makes everything that a scenario starts with.

use std::fs;

use super::Scenario;
use crate::failure::{Failure, Outcome};
use crate::servers::Servers;
use crate::settings::Settings;
use crate::setup::{Setup, Stage};
use crate::stack::{KafkaOptions, PostgresOptions, PostgresVersion};

impl Scenario {
    pub(crate) fn start(setup: &Setup) -> Outcome<Scenario> {
        let name = format!("{}_{:08x}", setup.label, fastrand::u32(..));
        let postgres = setup.private_postgres.as_ref().map(|settings| {
            let mut options = PostgresOptions::named(&format!("e2e-{}-postgres", setup.label))?;
            if let Some(major) = setup.postgres_version {
                options.version = PostgresVersion::Major(major);
            }
            options.disk.clone_from(&setup.postgres_disk);
            Ok::<_, Failure>(
                settings
                    .iter()
                    .fold(options, |options, (key, value)| options.set(key, value)),
            )
        });
        let kafka = setup.private_brokers.map(|brokers| {
            let mut options = KafkaOptions::named(&format!("e2e-{}-kafka", setup.label)).brokers(brokers);
            options.disk.clone_from(&setup.kafka_disk);
            match setup.kafka_version {
                Some(version) => options.version(version).with_doors(),
                None => match setup.kafka_detour {
                    Some((listen, advertised)) => options.detour(listen, advertised),
                    None => options,
                },
            }
        });
        let servers = Servers::start(postgres.transpose()?, kafka)?;
        let named = |text: &str| text.replace("{name}", &name);
        let mut scenario = Scenario {
            settings: setup.settings.clone(),
            servers,
            faults: Vec::new(),
            outages: Vec::new(),
            aggregate_type: named(&setup.aggregate_type),
            folder: tempfile::tempdir()?,
            topics: Vec::new(),
            sampler: None,
            relays: 0,
            writers: 0,
            name: name.clone(),
        };
        scenario.configure(&named(&setup.topic))?;
        scenario.administer(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        scenario.database()?.run(&setup.sql)?;
        if setup.stage >= Stage::Migrated {
            scenario.migrate()?;
        }
        if setup.with_topic {
            let config: Vec<_> = setup
                .topic_config
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            scenario.create_topic(&scenario.topic(), setup.partitions, &config)?;
        }
        if setup.stage >= Stage::Slot {
            scenario.create_slot()?;
        }
        Ok(scenario)
    }

    fn configure(&mut self, topic: &str) -> Outcome {
        let (password_file, superuser_file) = (self.file("password"), self.file("superuser"));
        fs::write(&password_file, "not a secret\n")?;
        let facts = self.servers.postgres()?.clone();
        fs::write(superuser_file, &facts.password)?;
        let mut settings = Settings::default();
        settings.set("postgres.host", "127.0.0.1");
        settings.set("postgres.port", facts.port);
        settings.set("postgres.tls_mode", "disable");
        for key in [
            "postgres.database",
            "postgres.user",
            "postgres.slot",
            "postgres.publication",
        ] {
            settings.set(key, self.name.as_str());
        }
        settings.set("postgres.password_file", password_file.display().to_string());
        // Faults are what the scenarios are made of: short waits after them, or every scenario would take minutes.
        settings.set("postgres.reconnect_backoff_ms", 50);
        settings.set("postgres.reconnect_backoff_max_ms", 500);
        settings.set("retry.initial_ms", 50);
        settings.set("retry.max_ms", 500);
        settings.set("kafka.bootstrap_servers", self.servers.bootstrap_servers()?);
        settings.set("kafka.properties.\"security.protocol\"", "plaintext");
        settings.set("outbox.default.topic", topic);
        for role in ["application", "operator", "auditor", "janitor"] {
            settings.set(&format!("roles.{role}"), format!("{}_{role}", self.name));
        }
        settings.extend(&self.settings);
        self.settings = settings;
        Ok(())
    }
}

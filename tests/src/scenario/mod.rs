//! A scenario: everything of its own that a test of the relay needs, removed at the end.

mod judge;
mod remove;
mod start;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::database::Database;
use crate::failure::{Outcome, ensure};
use crate::load::{Load, Rate};
use crate::program::{Ended, UnderWay, run};
use crate::relay::Relay;
use crate::sampler::{Sample, Sampler, Subject};
use crate::servers::Servers;
use crate::settings::Settings;
use crate::table::TableShape;
use crate::verifier::Outage;
use crate::writer::WriterOptions;

const KEYS_PER_WRITER: usize = 8;
const FILLER_BYTES: usize = 200;

/// A scenario that is set up. Declare relays and load after it, so that they end first.
pub struct Scenario {
    /// The relay's configuration. Relays and commands that are started later use what it is then.
    pub settings: Settings,
    /// The servers.
    pub servers: Servers,
    /// What was seen after (or, where the relay survives it, before) each fault.
    pub faults: Vec<Sample>,
    /// Stretches without Kafka.
    pub outages: Vec<Outage>,
    name: String,
    aggregate_type: String,
    folder: TempDir,
    topics: Vec<String>,
    sampler: Option<Sampler>,
    relays: usize,
    writers: usize,
}

impl Scenario {
    /// The name of the database, of the slot, of the publication and of the relay's role.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The aggregate type of the rows that [`Scenario::writer`] writes.
    pub fn aggregate_type(&self) -> &str {
        &self.aggregate_type
    }

    /// The topic of the rows that [`Scenario::writer`] writes.
    pub fn topic(&self) -> String {
        let template = self.settings.text("outbox.default.topic");
        template.replace("{aggregate_type}", &self.aggregate_type)
    }

    /// A file of this scenario.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How to reach the scenario's database as the superuser.
    ///
    /// # Errors
    /// There is no server.
    pub fn conninfo(&self) -> Outcome<String> {
        Ok(format!("{} dbname={}", self.servers.postgres()?.conninfo(), self.name))
    }

    /// A session in the scenario's database as the superuser.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn database(&self) -> Outcome<Database> {
        Database::connect(&self.conninfo()?)
    }

    /// Runs `outbox-relay migrate`.
    ///
    /// # Errors
    /// It fails.
    pub fn migrate(&self) -> Outcome {
        let file = self.file("superuser").display().to_string();
        let arguments = [
            "migrate",
            "--user",
            "postgres",
            "--password-file",
            &file,
            "--set-password",
        ];
        self.succeed(&arguments)
    }

    /// Runs `outbox-relay slot create`, and looks at the slot from then on.
    ///
    /// # Errors
    /// It fails.
    pub fn create_slot(&mut self) -> Outcome {
        self.succeed(&["slot", "create"])?;
        let sampler = Sampler::start(Subject {
            conninfo: self.conninfo()?,
            slot: self.name.clone(),
            bootstrap_servers: self.servers.bootstrap_servers()?.to_owned(),
        });
        for topic in &self.topics {
            sampler.add_topic(topic);
        }
        self.sampler = Some(sampler);
        Ok(())
    }

    /// Makes a topic that is read, and deleted at the end.
    ///
    /// # Errors
    /// The brokers refuse.
    pub fn create_topic(&mut self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome {
        // First, because what a running relay has waited to send is confirmed as soon as there is the topic.
        if let Some(sampler) = &self.sampler {
            sampler.add_topic(topic);
        }
        self.servers.topics()?.create(topic, partitions, config)?;
        self.topics.push(topic.to_owned());
        Ok(())
    }

    /// Runs a command of the relay to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn command(&self, arguments: &[&str]) -> Outcome<Ended> {
        run(&self.write_config()?, arguments)
    }

    /// Starts a command of the relay, which goes on by itself.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin(&self, arguments: &[&str]) -> Outcome<UnderWay> {
        let output = self.file(&format!("command-{:08x}.txt", fastrand::u32(..)));
        UnderWay::start(&self.write_config()?, arguments, output)
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> Outcome {
        let ended = self.command(arguments)?;
        ensure(ended.code == Some(0), || {
            format!("outbox-relay {arguments:?}: {ended:?}")
        })
    }

    fn write_config(&self) -> Outcome<PathBuf> {
        let file = self.file("relay.toml");
        fs::write(&file, self.settings.to_string())?;
        Ok(file)
    }

    /// Starts a relay.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn relay(&mut self) -> Outcome<Relay> {
        self.relay_with(&[])
    }

    /// Starts a relay with these variables in its environment.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn relay_with(&mut self, environment: &[(&str, &str)]) -> Outcome<Relay> {
        self.relays += 1;
        let log = self.file(&format!("relay-{}.log", self.relays));
        Relay::start(&self.write_config()?, log, environment)
    }

    /// Starts a relay that logs to a file that is none of the scenario's own.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn relay_logging_to(&self, log: &Path) -> Outcome<Relay> {
        Relay::start(&self.write_config()?, log.to_owned(), &[])
    }

    /// Starts a relay and waits until it streams.
    ///
    /// # Errors
    /// It does not come to it.
    #[track_caller]
    pub fn streaming_relay(&mut self) -> Outcome<Relay> {
        let mut relay = self.relay()?;
        relay.wait_for_phase("streaming")?;
        Ok(relay)
    }

    /// Options for one more writer, with keys of its own.
    ///
    /// # Errors
    /// There is no server.
    pub fn writer(&mut self) -> Outcome<WriterOptions> {
        self.writers += 1;
        let writer = self.writers;
        Ok(WriterOptions {
            conninfo: self.conninfo()?,
            shape: TableShape::STANDARD,
            aggregate_type: self.aggregate_type.clone(),
            topic: self.topic(),
            keys: (0..KEYS_PER_WRITER).map(|key| format!("w{writer}-{key}")).collect(),
            filler: "x".repeat(FILLER_BYTES),
        })
    }

    /// Starts writers with 1,000 rows a second together.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn load(&mut self) -> Outcome<Load> {
        let writers = vec![self.writer()?, self.writer()?];
        let rate = Rate {
            rows: 5,
            transactions: 100,
        };
        Load::start(writers, rate)
    }
}

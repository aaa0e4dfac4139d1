//! The local stack: a real `PostgreSQL` and a real Apache Kafka, on loopback, with their files in `.stack/`.
//!
//! - A test that breaks servers starts its own: [`Postgres::start`], [`Kafka::start`] or [`Stack::start`].
//! - A test that only uses them takes the one that `stack run` started: [`shared`].
//! - The program `stack` starts and stops one from the command line.
//!
//! Nothing outlives its owner unseen: a server is stopped when its value is dropped, and what a killed process leaves
//! behind is stopped by the next one that takes the same name or runs the program `stack`.

mod archive;
mod claim;
mod data_copy;
mod doctor;
mod error;
mod java;
mod kafka;
mod kafka_doors;
mod kafka_launch;
mod kafka_options;
mod kafka_properties;
mod layout;
mod packages;
mod pooler;
mod ports;
mod postgres;
mod postgres_doors;
mod process;
mod restore;
mod running;
mod shared_memory;
mod standby;
mod state;
mod topics;

pub use archive::Archive;
pub use data_copy::DataCopy;
pub use doctor::{Finding, examine, fetch};
pub use error::StackError;
pub use java::java_of_at_least;
pub use kafka::Kafka;
pub use kafka_doors::{KafkaDoors, PLAIN_PASSWORD, PLAIN_USER};
pub use kafka_options::KafkaOptions;
pub use layout::Layout;
pub use packages::{POSTGRES_VARIABLE, PostgresVersion, kafka_version};
pub use pooler::{Pooler, PoolerUser};
pub use ports::{free_port, is_free, is_open};
pub use postgres::{Postgres, PostgresOptions, SUPERUSER, StopMode};
pub use process::ProcessRecord;
pub use restore::{ARCHIVING, Backup};
pub use running::{DETACHED_NAME, RUN_NAME, RunningStack, STATE_VARIABLE, clear_leftovers, down, find, shared};
pub use state::{KafkaFacts, PostgresFacts, State};
pub use topics::Topics;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use claim::Claim;

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// `PostgreSQL`; its name is ignored.
    pub postgres: PostgresOptions,
    /// Kafka; its name is ignored.
    pub kafka: KafkaOptions,
}

impl Options {
    /// The `PostgreSQL` that the environment chooses and this number of Kafka nodes, 1 or 3.
    ///
    /// # Errors
    ///
    /// [`StackError::Setting`] when the environment names no version.
    pub fn with_brokers(brokers: usize) -> Result<Options, StackError> {
        Ok(Options {
            postgres: PostgresOptions::named("")?,
            kafka: KafkaOptions::named("").brokers(brokers).with_doors(),
        })
    }
}

/// `PostgreSQL` and Kafka under one name. Dropped, both are stopped and their data are removed.
#[derive(Debug)]
pub struct Stack {
    /// The `PostgreSQL` server.
    pub postgres: Postgres,
    /// The Kafka nodes.
    pub kafka: Kafka,
    claim: Arc<Claim>,
}

impl Stack {
    /// Starts both at the same time and waits until they answer.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`] and [`Kafka::start`]; what was started by then is stopped.
    pub fn start(name: &str, options: &Options) -> Result<Stack, StackError> {
        Stack::start_in(Claim::take(&Layout::of_workspace()?, name)?, options)
    }

    /// Like [`Stack::start`], under the first free one of `name`, `name-2`, `name-3` and so on.
    ///
    /// # Errors
    ///
    /// Those of [`Stack::start`].
    pub fn start_numbered(name: &str, options: &Options) -> Result<Stack, StackError> {
        Stack::start_in(Claim::take_numbered(&Layout::of_workspace()?, name)?, options)
    }

    fn start_in(claim: Claim, options: &Options) -> Result<Stack, StackError> {
        let claim = Arc::new(claim);
        let (postgres, kafka) = thread::scope(|scope| {
            let for_kafka = Arc::clone(&claim);
            let kafka = scope.spawn(move || Kafka::start_in(for_kafka, &options.kafka));
            let postgres = Postgres::start_in(Arc::clone(&claim), &options.postgres);
            let kafka = kafka.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (postgres, kafka)
        });
        Ok(Stack {
            postgres: postgres?,
            kafka: kafka?,
            claim,
        })
    }

    /// The state file, the value of [`STATE_VARIABLE`] for processes that use this stack.
    pub fn state_file(&self) -> &Path {
        self.claim.state_file()
    }

    /// What the state file says now.
    pub fn state(&self) -> State {
        self.claim.state()
    }

    /// Leaves the servers running when this process ends and returns the state file.
    ///
    /// # Errors
    ///
    /// [`StackError::File`] when the state file cannot be written.
    pub fn into_detached(self) -> Result<PathBuf, StackError> {
        self.kafka.into_detached()?;
        self.postgres.into_detached()
    }
}

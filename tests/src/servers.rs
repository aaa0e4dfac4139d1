//! The servers of a scenario: those that all share, or its own where it breaks them.

use std::thread;

use crate::failure::{Failure, Outcome};
use crate::stack::{
    self, Kafka, KafkaDoors, KafkaOptions, Postgres, PostgresFacts, PostgresOptions, RunningStack, StackError, Topics,
};

/// How many runs of the same scenario may go on at the same time.
const RUNS_MAX: usize = 9;

/// `PostgreSQL` and Kafka, each shared or private.
#[derive(Debug)]
pub struct Servers {
    shared: Option<&'static RunningStack>,
    postgres: Option<Postgres>,
    kafka: Option<Kafka>,
}

impl Servers {
    /// Starts the private ones at the same time and finds the shared ones. A name that is in use gets a number.
    ///
    /// # Errors
    /// No shared stack is running, or a server does not start.
    pub fn start(postgres: Option<PostgresOptions>, kafka: Option<KafkaOptions>) -> Outcome<Servers> {
        let is_private = postgres.is_some() && kafka.is_some();
        let shared = if is_private { None } else { Some(stack::shared()?) };
        thread::scope(|scope| {
            let kafka = kafka.map(|options| scope.spawn(move || start_kafka(&options)));
            let postgres = postgres.map(|options| start_postgres(&options)).transpose();
            let kafka = kafka.map(|started| started.join().map_err(|_| Failure::new("starting Kafka panicked")));
            Ok(Servers {
                shared,
                kafka: kafka.transpose()?.transpose()?,
                postgres: postgres?,
            })
        })
    }

    /// How to reach `PostgreSQL`.
    ///
    /// # Errors
    /// There is none.
    pub fn postgres(&self) -> Outcome<&PostgresFacts> {
        let private = self.postgres.as_ref().map(Postgres::facts);
        let shared = self.shared.map(|stack| &stack.postgres);
        private.or(shared).ok_or_else(|| Failure::new("there is no PostgreSQL"))
    }

    /// The brokers, as `host:port,host:port`.
    ///
    /// # Errors
    /// There are none.
    pub fn bootstrap_servers(&self) -> Outcome<&str> {
        let private = self.kafka.as_ref().map(Kafka::bootstrap_servers);
        let shared = self.shared.map(|stack| stack.kafka.bootstrap_servers.as_str());
        private.or(shared).ok_or_else(|| Failure::new("there is no Kafka"))
    }

    /// The encrypted ways into Kafka.
    ///
    /// # Errors
    /// It has none.
    pub fn kafka_doors(&self) -> Outcome<&KafkaDoors> {
        let private = self.kafka.as_ref().map(Kafka::doors);
        let shared = || self.shared.and_then(|stack| stack.kafka.doors.as_ref());
        let doors = private.unwrap_or_else(shared);
        doors.ok_or_else(|| Failure::new("this Kafka has one way in; start it with one broker and its doors"))
    }

    /// Makes, changes and deletes topics.
    ///
    /// # Errors
    /// There is no Kafka.
    pub fn topics(&self) -> Outcome<Topics> {
        let private = self.kafka.as_ref().map(|kafka| kafka.topics().clone());
        let shared = self.shared.map(RunningStack::topics);
        private.or(shared).ok_or_else(|| Failure::new("there is no Kafka"))
    }

    /// The `PostgreSQL` that this scenario may stop.
    ///
    /// # Errors
    /// It did not ask for one.
    pub fn own_postgres(&mut self) -> Outcome<&mut Postgres> {
        self.postgres
            .as_mut()
            .ok_or_else(|| Failure::new("this PostgreSQL is shared"))
    }

    /// The Kafka that this scenario may stop.
    ///
    /// # Errors
    /// It did not ask for one.
    pub fn own_kafka(&mut self) -> Outcome<&mut Kafka> {
        self.kafka.as_mut().ok_or_else(|| Failure::new("this Kafka is shared"))
    }

    /// Whether what a scenario makes in `PostgreSQL` outlives it.
    pub fn shares_postgres(&self) -> bool {
        self.postgres.is_none()
    }

    /// Whether what a scenario makes in Kafka outlives it.
    pub fn shares_kafka(&self) -> bool {
        self.kafka.is_none()
    }
}

fn start_kafka(options: &KafkaOptions) -> Result<Kafka, StackError> {
    numbered(&options.name, |name| {
        let options = KafkaOptions {
            name,
            ..options.clone()
        };
        Kafka::start(&options)
    })
}

/// Starts one more `PostgreSQL`. A name that is in use gets a number.
///
/// # Errors
/// It does not start.
pub fn start_postgres(options: &PostgresOptions) -> Result<Postgres, StackError> {
    numbered(&options.name, |name| {
        let options = PostgresOptions {
            name,
            ..options.clone()
        };
        Postgres::start(&options)
    })
}

/// Names come again with the next run, so that what is kept under them, logs and locks, does not grow for ever.
fn numbered<T>(name: &str, start: impl Fn(String) -> Result<T, StackError>) -> Result<T, StackError> {
    let mut started = start(name.to_owned());
    for number in 2..=RUNS_MAX {
        if !matches!(started, Err(StackError::InUse { .. })) {
            break;
        }
        started = start(format!("{name}-{number}"));
    }
    started
}

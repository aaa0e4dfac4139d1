//! Why a measurement ended without a number. Each message says what, why, and what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use outbox_relay_tests::stack::StackError;
use rdkafka::error::KafkaError;

/// 128 + SIGINT, as shells say it.
const INTERRUPTED: u8 = 130;

/// A measurement that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A signal asked for the end.
    #[error("interrupted; everything that was started is stopped")]
    Interrupted,
    /// The local stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A statement.
    #[error("PostgreSQL did not {action}: {reason}")]
    Postgres { action: &'static str, reason: String },
    /// A question to the brokers.
    #[error("Kafka did not answer: {0}")]
    Kafka(#[from] KafkaError),
    /// A file.
    #[error("cannot {action} {}: {source}; check the permissions and the free space there", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file that holds something else than it should.
    #[error("{} is not what it should be: {reason}; make it anew", .path.display())]
    Content { path: PathBuf, reason: String },
    /// A program that ended when it should not have, or otherwise than it should have.
    #[error("{program} ended ({status}); the end of what it said:\n{tail}")]
    Ended {
        program: String,
        status: ExitStatus,
        tail: String,
    },
    /// A program that did not do its work in time.
    #[error("{program} did not {what} within {limit_s} s; the end of what it said:\n{tail}")]
    Late {
        program: String,
        what: &'static str,
        limit_s: u64,
        tail: String,
    },
    /// A carrier is wrong, not slow.
    #[error(
        "the topic holds {found} new records where {expected} rows were committed: {carrier} lost some, or published \
         some more than once; if it is the relay, please report it"
    )]
    Count { carrier: String, expected: i64, found: i64 },
    /// A slot did not send what it should.
    #[error("{client} received {found} rows where {expected} were committed: the numbers of this drain mean nothing")]
    Read { client: String, expected: u32, found: f64 },
    /// A record is missing, or there twice, or was never written.
    #[error(
        "of {expected} rows that were committed {missing} are not in the topic and {repeated} are there more than once; \
         {foreign} records belong to no row: a bug of {carrier}, please report it"
    )]
    Records {
        carrier: String,
        expected: usize,
        missing: usize,
        repeated: usize,
        foreign: usize,
    },
    /// The relay's own figures.
    #[error("/metrics on port {port} did not answer as it should: {reason}; leave `admin.listen` as it is here")]
    Metrics { port: u16, reason: String },
    /// The relay's configuration, or what stands behind it.
    #[error("the relay's configuration cannot be used: {0}")]
    Configuration(String),
    /// What was asked for.
    #[error("nothing can be measured of what was asked for: {0}")]
    NothingToMeasure(String),
    /// A record that was not acknowledged.
    #[error("the brokers did not take a record: {0}")]
    NotDelivered(String),
    /// A thread of this program.
    #[error("the {0} panicked: a bug of this program, please report it")]
    Panicked(&'static str),
    /// Two carriers did not publish the same.
    #[error("what was published is not the same: {0}; the numbers above compare different work")]
    Different(String),
    /// The end of a topic was not reached.
    #[error("the records of {topic} could not be read to the end: {reason}")]
    Reading { topic: String, reason: String },
    /// The command line of a program under measurement.
    #[error("`{command}` cannot be run: {reason}")]
    CommandLine { command: String, reason: String },
    /// What the relay is compared with.
    #[error(
        "Debezium {version} cannot be run: {missing}. Without it the relay can be compared with another relay: \
         `compare --without-debezium --other COMMAND`"
    )]
    NoDebezium { version: &'static str, missing: String },
    /// The servers' encrypted doors.
    #[error("the servers cannot be reached over TLS: {0}")]
    Tls(String),
    /// Nothing to size with.
    #[error(
        "what an event costs is neither given nor measured: there are no results of smoke in {} that count; run `smoke`, name its \
         results with --measured, or give --relay-cpu-us-per-event, --peak-tps and --relay-rss-mib",
        .0.display()
    )]
    NothingMeasured(PathBuf),
    /// Nothing to hold goals against.
    #[error("there are no results in {}: run `make bench`, or smoke, steady, micro or compare", .0.display())]
    NoResults(PathBuf),
    /// Nothing to plot.
    #[error(
        "there are no results of smoke, drain, compare or steady in {} that count: run one of them as `make bench-full` does, or name \
         results with --results",
        .0.display()
    )]
    NothingToPlot(PathBuf),
    /// A plot.
    #[error("{name} cannot be drawn: {reason}; a bug of this program, please report it")]
    Drawing { name: &'static str, reason: String },
    /// A program that is not there.
    #[error("{} is missing: {remedy}", .program.display())]
    Missing { program: PathBuf, remedy: &'static str },
}

impl From<outbox_relay_tests::failure::Failure> for Failure {
    fn from(failure: outbox_relay_tests::failure::Failure) -> Failure {
        Failure::Tls(failure.to_string())
    }
}

impl Failure {
    /// For `map_err` on an [`io::Error`] about `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
        let path = path.to_owned();
        move |source| Failure::File { action, path, source }
    }

    /// A file with other contents than expected.
    pub(crate) fn content(path: &Path, reason: &impl ToString) -> Failure {
        Failure::Content {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// For `map_err` on a statement's error.
    pub(crate) fn postgres(action: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Failure {
        move |error| {
            // The library's own text is "db error"; what the server said is behind it.
            let reason = error
                .as_db_error()
                .map_or_else(|| error.to_string(), ToString::to_string);
            Failure::Postgres { action, reason }
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Failure::Interrupted => INTERRUPTED,
            _ => 1,
        }
    }
}

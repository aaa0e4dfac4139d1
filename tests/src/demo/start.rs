//! Brings everything up, one line a step, and says what is what.

use std::env;
use std::time::{Duration, Instant};

use super::reader::Reader;
use super::relay::{Relay, RunningRelay};
use super::warnings::Warnings;
use super::writer::{self, DATABASE, PASSWORD, ROLE, Writer};
use super::{Demo, DemoError};
use crate::stack::{self, Options, PostgresFacts, Stack, StackError, kafka_version};

const STACK_NAME: &str = "demo";
const TOPICS: [&str; 2] = ["outbox.event.customer", "outbox.event.order"];
const PARTITIONS: i32 = 3;
const STREAMING_LIMIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(50);

const LEGEND: &str = "  insert  a committed row:  aggregate_type, aggregate_id, event_type, and what it says
  record  read from Kafka:  header aggregate_type, key, header event_type, topic/partition@offset,
                            time from COMMIT to here; below it the headers id and position
                            (not shown: the headers version, correlation_id and traceparent)
  undone  a rolled-back transaction

  Ctrl-C stops everything.";

/// Everything that has to be stopped again, in the order of its fields.
pub(super) struct Running {
    pub(super) writer: Writer,
    pub(super) relay: RunningRelay,
    pub(super) reader: Reader,
    pub(super) warnings: Warnings,
    pub(super) files: Relay,
    pub(super) stack: Stack,
}

impl Demo {
    pub(super) async fn start(&mut self) -> Result<Running, DemoError> {
        self.screen.title("outbox-relay demo");
        let stack = self.start_stack().await?;
        let facts = stack.postgres.facts().clone();
        let begin = Instant::now();
        for topic in TOPICS {
            stack.kafka.create_topic(topic, PARTITIONS, &[])?;
        }
        writer::create_database(&facts).await?;
        self.screen.done("database and topics", "made", begin);

        let files = Relay::install(&stack)?;
        let relay = self.start_relay(&files, &facts).await?;
        let running = Running {
            writer: Writer::connect(&facts).await?,
            reader: Reader::start(stack.kafka.bootstrap_servers(), &TOPICS, PARTITIONS)?,
            warnings: Warnings::of(&files.log_file),
            relay,
            files,
            stack,
        };
        self.introduce(&running);
        Ok(running)
    }

    async fn start_stack(&mut self) -> Result<Stack, DemoError> {
        let begin = Instant::now();
        // Starting takes seconds, and on a fresh machine a download; a signal meanwhile is answered at once.
        let starting = tokio::task::spawn_blocking(|| {
            stack::fetch()?;
            Stack::start(STACK_NAME, &Options::with_brokers(1)?)
        });
        tokio::pin!(starting);
        let joined = tokio::select! {
            joined = &mut starting => joined,
            () = self.signals.reached(1) => {
                self.screen.line("  stopping as soon as the servers are up");
                drop(starting.await);
                self.screen.line("  stopped, nothing is left running");
                return Err(DemoError::Stopped);
            }
        };
        let stack: Result<Stack, StackError> =
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let stack = stack?;
        self.screen.done("PostgreSQL and Kafka", "started", begin);
        Ok(stack)
    }

    async fn start_relay(&mut self, files: &Relay, facts: &PostgresFacts) -> Result<RunningRelay, DemoError> {
        let begin = Instant::now();
        files.migrate()?;
        self.screen
            .done("outbox-relay migrate", "roles, outbox table, publication", begin);
        writer::create_tables(facts).await?;
        let begin = Instant::now();
        files.create_slot()?;
        self.screen.done("outbox-relay slot create", "replication slot", begin);
        let begin = Instant::now();
        let mut relay = files.run()?;
        while relay.phase().as_deref() != Some("streaming") {
            if let Some(status) = relay.ended() {
                return Err(files.failed("run", status));
            }
            if begin.elapsed() >= STREAMING_LIMIT {
                return Err(files.failed("run", format!("not streaming after {} s", STREAMING_LIMIT.as_secs())));
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN) => {}
                () = self.signals.reached(1) => return Err(DemoError::Stopped),
            }
        }
        self.screen.done("outbox-relay run", "streaming", begin);
        Ok(relay)
    }

    fn introduce(&mut self, running: &Running) {
        let facts = running.stack.postgres.facts();
        let (port, psql) = (facts.port, psql(facts));
        let make_topic = running
            .stack
            .kafka
            .shell("org.apache.kafka.tools.TopicCommand --create");
        let relay = &running.files;
        let logs = relay.log_file.parent().unwrap_or(&relay.log_file).display();
        self.screen.title("What runs");
        self.screen.line(format_args!(
            "  PostgreSQL {:<8} 127.0.0.1:{port}, database {DATABASE}, table outbox\n  \
               Kafka {:<13} {}, topics {}\n  \
               outbox-relay        pid {}, http://{admin}/readyz, http://{admin}/metrics\n  \
               logs                {logs}",
            facts.major_version,
            kafka_version(),
            running.stack.kafka.bootstrap_servers(),
            TOPICS.join(", "),
            running.relay.pid(),
            admin = relay.admin,
        ));
        self.screen
            .title("Insert a row yourself, in a second terminal (its record is marked \"yours\")");
        self.screen.line(format_args!(
            "  {psql} postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{DATABASE} -c \\\n  \
               \"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) \\\n   \
               VALUES ('order', 'my-order', 'OrderPlaced', '{{\\\"hello\\\": 1}}')\"\n  \
               The types order and customer have a topic. Any other, such as parcel, shows the relay halt until somebody\n  \
               makes one (the demo does not read it):\n  \
               {make_topic} --topic outbox.event.parcel"
        ));
        self.screen.title("How to read it");
        self.screen.line(LEGEND);
    }
}

/// How to call `psql` here: Debian has it on the search path, other packages beside the server.
fn psql(facts: &PostgresFacts) -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let beside = facts.bin_dir.join("psql");
    if !env::split_paths(&path).any(|folder| folder.join("psql").is_file()) && beside.is_file() {
        return beside.display().to_string();
    }
    "psql".to_owned()
}

//! What is measured: a `PostgreSQL`, a Kafka, and a relay that is set up between them as a user would set it up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use outbox_relay_tests::certificates::{self, Authority};
use outbox_relay_tests::stack::{self, KafkaDoors, Options, SUPERUSER, Stack};
use tempfile::TempDir;

use crate::backlog::AGGREGATE_TYPE;
use crate::child::Child;
use crate::database::Database;
use crate::door::Door;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress;
use crate::relay::Relay;
use crate::subject::Subject;
use crate::topic::Topic;
use crate::usage::Usage;

pub(crate) const DATABASE: &str = "bench";
pub(crate) const PARTITIONS: i32 = 12;

const STACK_NAME: &str = "bench";
const RELAY_PASSWORD: &str = "bench";
const SUPERUSER_PASSWORD: &str = "superuser-password";
const ATTACH_AGAIN: Duration = Duration::from_millis(2);
const ATTACH_LIMIT: Duration = Duration::from_mins(2);

/// Takes away what would come and go by itself while something is measured: checkpoints, with the page images after
/// them, and vacuuming.
const QUIET: [(&str, &str); 4] = [
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("max_slot_wal_keep_size", "-1"),
];

/// One broker and three are to differ in their number alone: each has the heap and the optimising compiler that a single
/// one has in the tests.
const BROKER_JVM: [&str; 2] = ["-Xmx512m", "-XX:+UseG1GC"];
/// For who wants no numbers.
const QUICK_BROKER_JVM: [&str; 3] = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// Servers, database, topic and relay. The order of the fields is the order in which they end.
pub(crate) struct Installation {
    pub(crate) relay: Relay,
    pub(crate) topic: Topic,
    pub(crate) database: Database,
    pub(crate) stack: Stack,
    brokers: usize,
    /// Lead the relay to the encrypted doors of both servers; none with three brokers, which have no such door.
    pub(crate) tls_settings: Vec<String>,
    folder: TempDir,
}

impl Installation {
    /// Starts servers of its own and sets the relay up; `program` is the subject's.
    pub(crate) fn start(program: PathBuf, subject: &Subject, interrupt: &Interrupt) -> Result<Installation, Failure> {
        Installation::with_brokers(1, program, subject, interrupt)
    }

    /// The same with one broker or three. With three, topics have three replicas, of which two must be in sync.
    pub(crate) fn with_brokers(
        brokers: usize,
        program: PathBuf,
        subject: &Subject,
        interrupt: &Interrupt,
    ) -> Result<Installation, Failure> {
        progress::step("starting PostgreSQL and Kafka");
        stack::clear_leftovers()?;
        let mut stack = Stack::start_numbered(STACK_NAME, &options(brokers, subject.quick_start)?)?;
        interrupt.check()?;
        let folder = tempfile::tempdir().map_err(Failure::file("make", &std::env::temp_dir()))?;
        let tls_settings = match brokers {
            1 => open_tls_doors(&mut stack)?,
            _ => Vec::new(),
        };
        let database = Database::create(stack.postgres.facts(), DATABASE, interrupt)?;
        let admin_port = stack::free_port()?;
        let config = write_config(folder.path(), &stack, admin_port)?;
        let relay = Relay::new(program, config, admin_port, folder.path(), &subject.overrides);
        write(folder.path(), SUPERUSER_PASSWORD, &stack.postgres.facts().password)?;
        administrate(&relay, folder.path(), &["migrate", "--set-password"], interrupt)?;
        let topic = format!("outbox.event.{AGGREGATE_TYPE}");
        let topic = make_topic(&stack, &topic, &[], interrupt)?;
        Ok(Installation {
            relay,
            topic,
            database,
            stack,
            brokers,
            tls_settings,
            folder,
        })
    }

    /// Runs a command of the relay's as the superuser.
    pub(crate) fn administrate(&self, arguments: &[&str], interrupt: &Interrupt) -> Result<(), Failure> {
        administrate(&self.relay, self.folder(), arguments, interrupt)
    }

    /// Waits until a client reads from its slot; the process that serves it.
    pub(crate) fn attached(&self, client: &mut Child, slot: &str, interrupt: &Interrupt) -> Result<u32, Failure> {
        loop {
            if let Some(walsender) = self.database.walsender(slot)? {
                return Ok(walsender);
            }
            client.expect_running("attach to its slot", ATTACH_LIMIT)?;
            interrupt.pass(ATTACH_AGAIN)?;
        }
    }

    /// Makes a topic beside the relay's, with as many partitions.
    pub(crate) fn make_topic(&self, name: &str, interrupt: &Interrupt) -> Result<Topic, Failure> {
        make_topic(&self.stack, name, &[], interrupt)
    }

    /// The same with a configuration of its own.
    pub(crate) fn make_topic_with(
        &self,
        name: &str,
        config: &[(&str, &str)],
        interrupt: &Interrupt,
    ) -> Result<Topic, Failure> {
        make_topic(&self.stack, name, config, interrupt)
    }

    /// What leads the relay through a door.
    pub(crate) fn door_settings(&self, door: Door) -> Vec<String> {
        match door {
            Door::Tcp => Vec::new(),
            Door::Unix => vec![format!("postgres.host={}", self.stack.postgres.socket_dir().display())],
            Door::Tls => self.tls_settings.clone(),
        }
    }

    /// The certificate that whoever asks PostgreSQL for TLS can trust.
    pub(crate) fn ca_file(&self) -> Result<PathBuf, Failure> {
        Ok(tls_doors(&self.stack)?.authority.join("ca.crt"))
    }

    pub(crate) fn broker_pids(&self) -> impl Iterator<Item = u32> {
        (0..self.brokers).map(|node| self.stack.kafka.pid(node))
    }

    /// What all brokers together have used so far.
    pub(crate) fn brokers_usage(&self) -> Usage {
        self.broker_pids().filter_map(Usage::of).sum()
    }

    /// For logs and other files that go away at the end.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn administrate(relay: &Relay, folder: &Path, arguments: &[&str], interrupt: &Interrupt) -> Result<(), Failure> {
    let password_file = folder.join(SUPERUSER_PASSWORD).display().to_string();
    let login = ["--user", SUPERUSER, "--password-file", &password_file];
    relay.command(&[arguments, &login].concat(), interrupt)
}

fn make_topic(stack: &Stack, name: &str, config: &[(&str, &str)], interrupt: &Interrupt) -> Result<Topic, Failure> {
    stack.kafka.create_topic(name, PARTITIONS, config)?;
    Topic::watch(stack.kafka.bootstrap_servers(), name, PARTITIONS, interrupt)
}

fn tls_doors(stack: &Stack) -> Result<KafkaDoors, Failure> {
    let doors = stack.kafka.facts().doors;
    doors.ok_or_else(|| Failure::Tls("this Kafka has one way in".to_owned()))
}

/// PostgreSQL learns to speak TLS beside plain text; Kafka has a door for it.
fn open_tls_doors(stack: &mut Stack) -> Result<Vec<String>, Failure> {
    let doors = tls_doors(stack)?;
    let authority = Authority::load(&doors.authority)?;
    let certificate = authority.sign(&certificates::Subject::of("postgres", &["127.0.0.1"]))?;
    stack.postgres.show_certificate(&certificate, &authority)?;
    let ca = doors.authority.join("ca.crt").display().to_string();
    Ok(vec![
        "postgres.tls_mode=verify-full".to_owned(),
        format!("postgres.tls_ca_file={ca}"),
        format!("kafka.bootstrap_servers=127.0.0.1:{}", doors.tls),
        "kafka.properties.security.protocol=ssl".to_owned(),
        format!("kafka.properties.ssl.ca.location={ca}"),
    ])
}

fn options(brokers: usize, quick_start: bool) -> Result<Options, Failure> {
    let mut options = Options::with_brokers(brokers)?;
    let jvm: &[&str] = if quick_start { &QUICK_BROKER_JVM } else { &BROKER_JVM };
    options.kafka = options.kafka.jvm(jvm);
    for (parameter, value) in QUIET {
        options.postgres = options.postgres.set(parameter, value);
    }
    Ok(options)
}

/// Everything that is not said here keeps its default: that is what is measured.
fn write_config(folder: &Path, stack: &Stack, admin_port: u16) -> Result<PathBuf, Failure> {
    let password_file = write(folder, "relay-password", RELAY_PASSWORD)?;
    let text = format!(
        "[postgres]\nhost = \"127.0.0.1\"\nport = {}\ntls_mode = \"disable\"\ndatabase = \"{DATABASE}\"\npassword_file = {:?}\n\
         [kafka]\nbootstrap_servers = \"{}\"\nproperties.\"security.protocol\" = \"plaintext\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin_port}\"\n",
        stack.postgres.port(),
        password_file.display().to_string(),
        stack.kafka.bootstrap_servers(),
    );
    write(folder, "relay.toml", &text)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let file = folder.join(name);
    fs::write(&file, text).map_err(Failure::file("write", &file))?;
    Ok(file)
}

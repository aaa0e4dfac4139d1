//! Captures what real `PostgreSQL` servers stream, for the golden tests of the decoder.
//!
//! `cargo run -p outbox-relay-tests --bin capture -- 14 15 16 17 18` starts each server, runs `decoder/golden/setup.sql`
//! and `script.sql` there, and writes the backend's frames, as they came, to `decoder/golden/pg<version>-<stream>.bin`:
//!
//! - `outbox`: the publication of the outbox tables, streamed with the relay's own connection and options;
//! - `wide`: a publication with updates, deletes and truncates;
//! - `messages`: `pg_logical_emit_message`, for which the relay does not ask; fetched with SQL, one made-up frame around
//!   each message.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use outbox_relay::config::{self, PostgresSettings, Sources};
use outbox_relay::postgres::{ReplicationConnection, ReplicationStream};
use outbox_relay_tests::stack::{Postgres, PostgresOptions, PostgresVersion};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

const SETUP: &str = include_str!("../../../decoder/golden/setup.sql");
const SCRIPT: &str = include_str!("../../../decoder/golden/script.sql");
const STEP: &str = "-- step: ";

/// Publications that are streamed, and the names of their slots and files.
const STREAMS: [&str; 2] = ["outbox", "wide"];
const MESSAGES: &str = "messages";

const FRAME_BYTES_MAX: usize = 1 << 20;
const STREAM_LIMIT: Duration = Duration::from_secs(30);
const SLOT_WAIT_MS: u64 = 30_000;

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let outcome = versions().and_then(|versions| versions.into_iter().try_for_each(capture));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("capture: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Those of the command line; without any, the one of the environment.
fn versions() -> Result<Vec<PostgresVersion>, Failure> {
    let named: Vec<PostgresVersion> = env::args()
        .skip(1)
        .map(|version| version.parse())
        .collect::<Result<_, _>>()?;
    if named.is_empty() {
        return Ok(vec![PostgresVersion::from_environment()?]);
    }
    Ok(named)
}

fn capture(version: PostgresVersion) -> Result<(), Failure> {
    let mut options = PostgresOptions {
        version,
        name: "capture".to_owned(),
        ..PostgresOptions::default()
    };
    // A vacuum in between would be an empty transaction on 14.
    options = options.set("autovacuum", "off");
    let postgres = Postgres::start(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let files = runtime.block_on(stream(&postgres))?;
    for (name, bytes) in files {
        let file = format!("pg{}-{name}.bin", postgres.major_version());
        fs::write(golden().join(&file), &bytes)?;
        println!("{file}: {} bytes", bytes.len());
    }
    Ok(())
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../decoder/golden")
}

/// Runs the script, and only then streams: every file holds all of it, with few keepalives in between.
async fn stream(postgres: &Postgres) -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let client = connect(postgres).await?;
    client.batch_execute(SETUP).await?;
    let settings = settings(postgres)?;
    let mut connections = Vec::new();
    for name in STREAMS {
        let mut connection = ReplicationConnection::connect(&settings, &settings.hosts[0], None).await?;
        connection.create_slot(name, false, SLOT_WAIT_MS).await?;
        connections.push((name, connection));
    }
    client
        .execute(
            "SELECT pg_create_logical_replication_slot($1, 'pgoutput')",
            &[&MESSAGES],
        )
        .await?;

    for step in SCRIPT.split(STEP).skip(1) {
        let (name, sql) = step.split_once('\n').unwrap_or((step, ""));
        let done = client.batch_execute(sql).await;
        done.map_err(|error| format!("step {name:?}: {error:?}"))?;
    }

    let mut files = Vec::new();
    for (name, connection) in connections {
        let stream = ReplicationStream::start(connection, name, name).await?;
        let bytes = timeout(STREAM_LIMIT, frames(stream)).await;
        files.push((
            name,
            bytes.map_err(|_| format!("stream {name} did not come to its end"))??,
        ));
    }
    files.push((MESSAGES, messages(&client).await?));
    Ok(files)
}

async fn connect(postgres: &Postgres) -> Result<Client, Failure> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(postgres.socket_dir())
        .port(postgres.port())
        .user(&postgres.facts().superuser)
        .dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The relay's own settings, for the socket, where no password is needed.
fn settings(postgres: &Postgres) -> Result<PostgresSettings, Failure> {
    let flags = [
        format!("postgres.host={}", postgres.socket_dir().display()),
        format!("postgres.port={}", postgres.port()),
        format!("postgres.user={}", postgres.facts().superuser),
        format!("postgres.frame_bytes_max={FRAME_BYTES_MAX}"),
        "postgres.database=postgres".to_owned(),
        "postgres.slot=outbox".to_owned(),
        "postgres.publication=outbox".to_owned(),
        "outbox.sales.schema=sales".to_owned(),
        "kafka.bootstrap_servers=localhost:9092".to_owned(),
    ];
    let sources = Sources {
        flags: flags.to_vec(),
        ..Sources::default()
    };
    Ok(config::load(&sources)?.settings.postgres)
}

/// Every frame up to the first keepalive behind the script's last transaction.
async fn frames(mut stream: ReplicationStream) -> Result<Vec<u8>, Failure> {
    use outbox_decoder::pgoutput::Message;
    use outbox_decoder::stream::{StreamMessage, split_frame};
    let (mut bytes, mut last_row, mut ended) = (Vec::new(), false, false);
    loop {
        while let Some(frame) = split_frame(stream.buffer(), FRAME_BYTES_MAX)? {
            bytes.extend_from_slice(stream.buffer().get(..frame.bytes).unwrap_or_default());
            match StreamMessage::parse(frame.body)? {
                StreamMessage::Keepalive { .. } if ended => return Ok(bytes),
                StreamMessage::Keepalive { .. } => {}
                StreamMessage::XLogData(message) => match Message::parse(message)? {
                    Message::Relation(table) => last_row |= (table.schema, table.table) == ("public", "last"),
                    Message::Commit { .. } => ended = last_row,
                    _ => {}
                },
            }
            let length = frame.bytes;
            stream.consume(length, 0);
        }
        stream.read().await?;
    }
}

/// The plugin's messages with `messages 'true'`, each in a frame as the walsender would have made it.
async fn messages(client: &Client) -> Result<Vec<u8>, Failure> {
    let rows = client
        .query(
            "SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL,
                 'proto_version', '1', 'publication_names', 'wide', 'binary', 'true', 'messages', 'true')",
            &[&MESSAGES],
        )
        .await?;
    let mut bytes = Vec::new();
    for row in rows {
        let message: &[u8] = row.try_get(0)?;
        bytes.push(b'd');
        bytes.extend(u32::try_from(4 + 25 + message.len())?.to_be_bytes());
        bytes.push(b'w');
        bytes.extend([0; 24]);
        bytes.extend(message);
    }
    Ok(bytes)
}

//! A reader that takes rows from a slot as the relay does, with the relay's own connection and its waits, and only counts
//! them: the walsender's own speed.
//!
//! It runs as a program of its own, so that it is measured like the others.

use std::env;
use std::path::Path;
use std::process::Command;

use clap::Args;
use outbox_decoder::pgoutput::Message;
use outbox_decoder::stream::{COPY_DATA, StatusUpdate, StreamMessage, split_frame};
use outbox_decoder::{DecodeError, Lsn};
use outbox_relay::clock;
use outbox_relay::config::PostgresSettings;
use outbox_relay::postgres::{PostgresError, ReplicationConnection, ReplicationStream};

use crate::child::Child;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::results::Values;

/// The sub-command that it is.
pub(crate) const COMMAND: &str = "lazy-reader";
/// What results and complaints call it.
pub(crate) const NAME: &str = "the lazy reader";
/// What begins a row in the output plugin's messages, and what begins the end of a transaction.
const INSERT: u8 = b'I';
const COMMIT: u8 = b'C';

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    configuration: Configuration,
    /// Where it ends
    #[arg(long, value_name = "LSN")]
    until: Lsn,
}

/// Starts it on a slot, with the relay's configuration; it ends by itself at the position `until`.
pub(crate) fn start(
    installation: &Installation,
    settings: &[String],
    slot: &str,
    until: &str,
) -> Result<Child, Failure> {
    let own = env::current_exe().map_err(Failure::file("find", Path::new("this program")))?;
    let mut command = Command::new(own);
    command.args([COMMAND, "--until", until, "--set", &format!("postgres.slot={slot}")]);
    installation.relay.configure(&mut command, settings);
    Child::spawn(command, NAME, &installation.folder().join("lazy-reader.log"))
}

/// Bytes of a row on the wire, from what it said at its end.
pub(crate) fn row_bytes(ended: &Child, rows: u32) -> Result<f64, Failure> {
    let values = Values::parse(&ended.said());
    let get = |name| {
        let missing = || Failure::content(ended.log(), &format!("{name} is not in it"));
        values.get(name).ok_or_else(missing)
    };
    let (found, bytes) = (get("rows")?, get("row_bytes")?);
    if (found - f64::from(rows)).abs() > 0.5 {
        let (client, expected) = (NAME.to_owned(), rows);
        return Err(Failure::Read {
            client,
            expected,
            found,
        });
    }
    Ok(bytes / found)
}

/// Reads, counts, and says what it counted.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let settings = options.configuration.load()?.postgres;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::file("make a runtime for", Path::new("this process")))?;
    let counted = runtime.block_on(drain(&settings, options.until, interrupt))?;
    println!("rows={}\nrow_bytes={}", counted.rows, counted.row_bytes);
    Ok(())
}

async fn drain(settings: &PostgresSettings, until: Lsn, interrupt: &Interrupt) -> Result<Counted, Failure> {
    let no_host = || Failure::Configuration("it names no server".to_owned());
    let host = settings.hosts.first().ok_or_else(no_host)?;
    let connection = ReplicationConnection::connect(settings, host, None)
        .await
        .map_err(|error| failed(&error))?;
    let started = ReplicationStream::start(connection, &settings.slot, &settings.publication).await;
    let mut stream = started.map_err(|error| failed(&error))?;
    let mut counted = Counted::default();
    while counted.position < until {
        interrupt.check()?;
        stream.read().await.map_err(|error| failed(&error))?;
        let before = counted.rows;
        let counting = counted.take(stream.buffer(), settings.frame_bytes_max);
        let bytes = counting.map_err(|error| failed(&error.into()))?;
        stream.consume(bytes, counted.rows - before);
        if std::mem::take(&mut counted.reply_requested) {
            stream
                .send_status(counted.received_only())
                .await
                .map_err(|error| failed(&error))?;
        }
    }
    Ok(counted)
}

fn failed(error: &PostgresError) -> Failure {
    let (action, reason) = ("send the rows of the slot", error.to_string());
    Failure::Postgres { action, reason }
}

/// What has come so far.
#[derive(Debug)]
struct Counted {
    rows: u64,
    /// Frames and everything in them.
    row_bytes: u64,
    position: Lsn,
    reply_requested: bool,
}

impl Default for Counted {
    fn default() -> Counted {
        Counted {
            rows: 0,
            row_bytes: 0,
            position: Lsn::new(0),
            reply_requested: false,
        }
    }
}

impl Counted {
    /// Counts the whole frames at the beginning of a buffer, and returns their bytes.
    fn take(&mut self, buffer: &[u8], frame_bytes_max: usize) -> Result<usize, DecodeError> {
        let mut taken = 0;
        while let Some(frame) = split_frame(&buffer[taken..], frame_bytes_max)? {
            taken += frame.bytes;
            if frame.tag != COPY_DATA {
                continue;
            }
            match StreamMessage::parse(frame.body)? {
                StreamMessage::XLogData([INSERT, ..]) => {
                    self.rows += 1;
                    self.row_bytes += frame.bytes as u64;
                }
                StreamMessage::XLogData(message @ [COMMIT, ..]) => {
                    if let Message::Commit { position, .. } = Message::parse(message)? {
                        self.position = position.end_lsn();
                    }
                }
                StreamMessage::XLogData(_) => {}
                StreamMessage::Keepalive {
                    wal_end,
                    reply_requested,
                    ..
                } => {
                    self.position = wal_end;
                    self.reply_requested |= reply_requested;
                }
            }
        }
        Ok(taken)
    }

    /// Keeps the server patient and leaves the slot where it is.
    fn received_only(&self) -> StatusUpdate {
        StatusUpdate {
            written: self.position,
            flushed: Lsn::new(0),
            sent_at: clock::now(),
            reply_requested: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a small frame");
        [&[COPY_DATA][..], &length.to_be_bytes(), body].concat()
    }

    fn xlog_data(message: &[u8]) -> Vec<u8> {
        frame(&[b"w", &[0; 24][..], message].concat())
    }

    #[test]
    fn rows_are_counted_and_commits_move_the_position() {
        let commit = [&[COMMIT, 0][..], &[0; 8], &0x99_u64.to_be_bytes(), &[0; 8]].concat();
        let row = xlog_data(&[INSERT, 1, 2, 3]);
        let half = &row[..10];
        let buffer = [&row[..], &row, &xlog_data(&commit), half].concat();
        let mut counted = Counted::default();
        let taken = counted.take(&buffer, 1000).expect("frames");
        assert_eq!(taken, buffer.len() - half.len());
        assert_eq!((counted.rows, counted.position), (2, Lsn::new(0x99)));
        assert_eq!(counted.row_bytes, 2 * row.len() as u64);
    }

    #[test]
    fn a_keepalive_moves_the_position_and_may_want_an_answer() {
        let keepalive = [b"k", &0x77_u64.to_be_bytes()[..], &[0; 8], &[1]].concat();
        let mut counted = Counted::default();
        counted.take(&frame(&keepalive), 1000).expect("a frame");
        assert_eq!(counted.position, Lsn::new(0x77));
        assert!(counted.reply_requested);
    }
}

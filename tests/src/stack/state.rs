//! The state file: what a running stack consists of, for the processes that want to use it or to stop it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StackError;
use super::kafka_doors::KafkaDoors;
use super::process::ProcessRecord;

/// The content of a state file, `.stack/run/<name>.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The name of the stack.
    pub name: String,
    /// The process that started it.
    pub started_by: u32,
    /// Whether the stack outlives the process that started it (`stack up`).
    pub detached: bool,
    /// The folder that holds the data of all its servers.
    pub data: PathBuf,
    /// The server processes, to be recognised before anything is done to them.
    pub processes: Vec<ProcessRecord>,
    /// How to reach `PostgreSQL`, when the stack has one.
    pub postgres: Option<PostgresFacts>,
    /// How to reach Kafka, when the stack has it.
    pub kafka: Option<KafkaFacts>,
}

/// How to reach the `PostgreSQL` server of a running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresFacts {
    /// TCP port on 127.0.0.1; every user needs a password there (SCRAM-SHA-256).
    pub port: u16,
    /// Folder of the Unix socket; the superuser needs no password there.
    pub socket_dir: PathBuf,
    /// Name of the superuser.
    pub superuser: String,
    /// Password of the superuser.
    pub password: String,
    /// Folder of `postgres`, `psql` and, where the package has it, `pg_recvlogical`.
    pub bin_dir: PathBuf,
    /// Data directory.
    pub data_dir: PathBuf,
    /// The server's log.
    pub log_file: PathBuf,
    /// Major version, 14 to 18.
    pub major_version: u32,
}

impl PostgresFacts {
    /// A libpq connection string for the superuser over TCP, without a database name.
    pub fn conninfo(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user={} password={}",
            self.port, self.superuser, self.password
        )
    }
}

/// How to reach the Kafka brokers of a running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaFacts {
    /// `host:port`, comma separated.
    pub bootstrap_servers: String,
    /// The brokers' logs, in node order.
    pub log_files: Vec<PathBuf>,
    /// Encrypted ways in, where there are any.
    pub doors: Option<KafkaDoors>,
}

impl State {
    /// Reads a state file. `None` when there is none, or when what is there cannot be understood: it is then a leftover
    /// of a crash or of another version and worth nothing.
    pub fn read(file: &Path) -> Option<State> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    /// Writes the state file so that a reader sees the old content or the new one, never a part.
    ///
    /// # Errors
    ///
    /// [`StackError::File`] when it cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), StackError> {
        let partial = file.with_extension("json.partial");
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| StackError::file("describe", file)(std::io::Error::other(error)))?;
        let mut out = File::create(&partial).map_err(StackError::file("create", &partial))?;
        out.write_all(text.as_bytes())
            .map_err(StackError::file("write", &partial))?;
        fs::rename(&partial, file).map_err(StackError::file("rename", &partial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_torn_file_counts_as_none() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.json");
        let state = State {
            name: "a".to_owned(),
            started_by: 7,
            ..State::default()
        };
        state.write(&file)?;
        assert_eq!(State::read(&file), Some(state));

        let whole = fs::read(&file)?;
        fs::write(&file, &whole[..whole.len() / 2])?;
        assert_eq!(State::read(&file), None);
        assert_eq!(State::read(&folder.path().join("absent.json")), None);
        Ok(())
    }
}

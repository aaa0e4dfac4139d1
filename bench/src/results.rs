//! Results are kept in files, one for each run, with what else must be known to compare them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::machine::{self, Machine};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// When, where and with what it was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    pub(crate) finished_unix_s: u64,
    pub(crate) machine: Machine,
    pub(crate) relay_overrides: Vec<String>,
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
}

impl Circumstances {
    /// The load average was looked at before; the rest is as it is now.
    pub(crate) fn now(overrides: &[String], load_before: f64) -> Circumstances {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Circumstances {
            finished_unix_s: since_epoch.unwrap_or_default().as_secs(),
            machine: Machine::this(),
            relay_overrides: overrides.to_vec(),
            load_before,
            load_after: machine::load(),
        }
    }

    /// Writes the results of one run of a sub-command, which hold these circumstances, to a file of their own and says
    /// where.
    pub(crate) fn keep(&self, command: &str, results: &impl Serialize) -> Result<PathBuf, Failure> {
        fs::create_dir_all(folder()).map_err(Failure::file("make", folder()))?;
        let file = folder().join(format!("{command}-{}.json", self.finished_unix_s));
        let text =
            serde_json::to_string_pretty(results).map_err(|error| Failure::file("describe", &file)(error.into()))?;
        fs::write(&file, text).map_err(Failure::file("write", &file))?;
        Ok(file)
    }
}

/// Where results are kept; it is not part of the repository.
pub(crate) fn folder() -> &'static Path {
    Path::new(FOLDER)
}

/// The newest results of a sub-command in a folder.
pub(crate) fn newest(command: &str, folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .max_by_key(|file| stamp(command, file))
        .filter(|file| stamp(command, file).is_some())
}

/// When it was finished, if it is results of this sub-command.
fn stamp(command: &str, file: &Path) -> Option<u64> {
    let name = file.file_name()?.to_str()?;
    name.strip_prefix(command)?
        .strip_prefix('-')?
        .strip_suffix(".json")?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_results_are_those_of_the_same_sub_command_with_the_latest_stamp() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "smoke-9.json",
            "smoke-10.json",
            "micro-11.json",
            "smoke-12.svg",
            "smoke-x.json",
        ] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        assert_eq!(
            newest("smoke", folder.path()),
            Some(folder.path().join("smoke-10.json"))
        );
        assert_eq!(newest("steady", folder.path()), None);
    }
}

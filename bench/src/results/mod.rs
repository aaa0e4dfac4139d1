//! Results are kept in files, one for each run, with what else must be known to compare them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::machine::{self, Machine};

/// It is not part of the repository.
const WORKSPACE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// Where results are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Folder {
    /// Where results are kept, instead of this workspace's folder
    #[arg(long = "folder", value_name = "FOLDER")]
    named: Option<PathBuf>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        self.named.as_deref().unwrap_or(Path::new(WORKSPACE_FOLDER))
    }
}

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

    /// Writes the results of one run of a sub-command, which hold these circumstances, and its numbers by name to a file of
    /// their own in a folder, and says where.
    pub(crate) fn keep(
        &self,
        command: &str,
        folder: &Path,
        results: &impl Serialize,
        numbers: &str,
    ) -> Result<PathBuf, Failure> {
        fs::create_dir_all(folder).map_err(Failure::file("make", folder))?;
        let file = folder.join(format!("{command}-{}.json", self.finished_unix_s));
        let kept = Kept {
            results,
            values: Values::parse(numbers),
        };
        let text =
            serde_json::to_string_pretty(&kept).map_err(|error| Failure::file("describe", &file)(error.into()))?;
        fs::write(&file, text).map_err(Failure::file("write", &file))?;
        Ok(file)
    }
}

#[derive(Serialize)]
struct Kept<'r, R> {
    #[serde(flatten)]
    results: &'r R,
    values: Values,
}

/// Numbers by name, as every sub-command prints them at its end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Values(BTreeMap<String, f64>);

impl Values {
    /// Reads `name=value` lines; `true` is 1 and `false` 0. What is no number is left out.
    pub(crate) fn parse(lines: &str) -> Values {
        let pairs = lines.lines().filter_map(|line| line.split_once('='));
        let numbers = pairs.filter_map(|(name, value)| {
            let number = match value {
                "true" => 1.0,
                "false" => 0.0,
                number => number.parse().ok()?,
            };
            Some((name.to_owned(), number))
        });
        Values(numbers.collect())
    }

    /// Those of a file of results. Earlier files have none.
    pub(crate) fn of_results(json: &str) -> Result<Values, serde_json::Error> {
        #[derive(Deserialize)]
        struct Results {
            #[serde(default)]
            values: Values,
        }
        Ok(serde_json::from_str::<Results>(json)?.values)
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name}={value}"))
    }
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
    fn numbers_are_kept_beside_the_results_and_read_back() {
        let kept = Kept {
            results: &BTreeMap::from([("rows", 5)]),
            values: Values::parse("ratio=1.25\nsame=true\nlimited_by=latency\n"),
        };
        let json = serde_json::to_string(&kept).expect("numbers and names");
        assert_eq!(json, r#"{"rows":5,"values":{"ratio":1.25,"same":1.0}}"#);
        let values = Values::of_results(&json).expect("an object");
        assert_eq!((values.get("ratio"), values.get("limited_by")), (Some(1.25), None));
        assert_eq!(values.to_string(), "ratio=1.25\nsame=1\n");
        assert!(Values::of_results("{}").expect("an object").get("ratio").is_none());
    }

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

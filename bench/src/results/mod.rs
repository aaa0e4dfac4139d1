//! Results are kept in files, one for each run, with what else must be known to compare them.

mod parameters;
mod suitable;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::machine::{self, Machine};
use crate::source;
use crate::subject::Subject;
#[cfg(test)]
pub(crate) use suitable::objection_to;
pub(crate) use suitable::{Choice, choose, name};

/// It is not part of the repository.
const WORKSPACE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// Where results are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Folder {
    /// Where results are kept, instead of this workspace's folder
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(WORKSPACE_FOLDER))
    }
}

/// When, where and with what it was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    pub(crate) finished_unix_s: u64,
    pub(crate) machine: Machine,
    /// The state of the workspace. Earlier results lack it, and those from outside a checkout.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// Brokers that carry less than they can.
    #[serde(default)]
    pub(crate) quick_start: bool,
    /// `None`: the release build of this workspace.
    #[serde(default)]
    pub(crate) relay_program: Option<PathBuf>,
    pub(crate) relay_overrides: Vec<String>,
    /// What the sub-command was given, defaults included. Earlier results lack it.
    #[serde(default)]
    pub(crate) parameters: Value,
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
}

impl Circumstances {
    /// The load average was looked at before; the rest is as it is now.
    pub(crate) fn now(subject: &Subject, parameters: &impl Serialize, load_before: f64) -> Circumstances {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Circumstances {
            finished_unix_s: since_epoch.unwrap_or_default().as_secs(),
            machine: Machine::this(),
            source: source::state(),
            quick_start: subject.quick_start,
            relay_program: subject.relay.clone(),
            relay_overrides: subject.overrides.clone(),
            // Numbers, words and lists of them: nothing that has no form in JSON.
            parameters: serde_json::to_value(parameters).unwrap_or_default(),
            load_before,
            load_after: machine::load(),
        }
    }

    #[cfg(test)]
    pub(crate) fn example() -> Circumstances {
        Circumstances::now(&Subject::default(), &(), 0.0)
    }

    /// Writes the results of one run of a sub-command, which hold these circumstances, and its numbers by name to a file of
    /// their own in a folder, beside it its tables as Markdown, and says where.
    pub(crate) fn keep(
        &self,
        command: &str,
        folder: &Path,
        results: &impl Serialize,
        told: Told<'_>,
    ) -> Result<PathBuf, Failure> {
        fs::create_dir_all(folder).map_err(Failure::file("make", folder))?;
        let file = folder.join(format!("{command}-{}.json", self.finished_unix_s));
        let kept = Kept {
            results,
            values: Values::parse(told.numbers),
        };
        let text =
            serde_json::to_string_pretty(&kept).map_err(|error| Failure::file("describe", &file)(error.into()))?;
        fs::write(&file, text).map_err(Failure::file("write", &file))?;
        let tables = file.with_extension("md");
        fs::write(&tables, told.tables).map_err(Failure::file("write", &tables))?;
        Ok(file)
    }
}

/// What a sub-command prints at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'t> {
    /// Markdown.
    pub(crate) tables: &'t str,
    /// One `name=value` a line.
    pub(crate) numbers: &'t str,
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

    /// Takes over what is only in others.
    pub(crate) fn complete_with(&mut self, others: &Values) {
        for (name, value) in &others.0 {
            self.0.entry(name.clone()).or_insert(*value);
        }
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

/// All results of a sub-command in a folder, the newest first.
fn all(command: &str, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let mut stamped: Vec<(u64, PathBuf)> = files.filter_map(|file| Some((stamp(command, &file)?, file))).collect();
    stamped.sort_unstable_by(|one, other| other.cmp(one));
    stamped.into_iter().map(|(_, file)| file).collect()
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
    fn the_results_of_a_sub_command_are_those_with_its_name_and_a_stamp_and_the_newest_comes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "smoke-9.json",
            "smoke-10.json",
            "micro-11.json",
            "smoke-12.svg",
            "smoke-x.json",
            "steady-search-13.json",
        ] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let found = |command| all(command, folder.path());
        let expected = ["smoke-10.json", "smoke-9.json"].map(|name| folder.path().join(name));
        assert_eq!(found("smoke"), expected);
        assert_eq!(found("steady"), Vec::<PathBuf>::new());
        assert_eq!(all("smoke", &folder.path().join("absent")), Vec::<PathBuf>::new());
    }
}

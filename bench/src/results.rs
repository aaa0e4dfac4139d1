//! Results are kept in files, one for each run: for comparisons, and for `capacity`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::failure::Failure;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results");

/// Where results are kept; it is not part of the repository.
pub(crate) fn folder() -> &'static Path {
    Path::new(FOLDER)
}

/// Now, as results are stamped.
pub(crate) fn now_unix_s() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}

/// Writes the results of one run of a sub-command to a file of their own and says where.
pub(crate) fn keep(command: &str, finished_unix_s: u64, results: &impl Serialize) -> Result<PathBuf, Failure> {
    fs::create_dir_all(folder()).map_err(Failure::file("make", folder()))?;
    let file = folder().join(format!("{command}-{finished_unix_s}.json"));
    let text = serde_json::to_string_pretty(results).map_err(|error| Failure::file("describe", &file)(error.into()))?;
    fs::write(&file, text).map_err(Failure::file("write", &file))?;
    Ok(file)
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

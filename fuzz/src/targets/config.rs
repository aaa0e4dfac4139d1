//! Any bytes as a configuration: the text of a file, and behind each zero a flag or, with a name of libpq's or of ours, a
//! variable. What is accepted can be shown, and what is refused says why.

use std::fs;
use std::sync::LazyLock;

use outbox_relay::config::{Sources, load_without_files};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let file = FOLDER.path().join("relay.toml");
    fs::write(&file, parts.next().unwrap_or_default()).expect("a file");
    let (variables, flags): (Vec<&str>, Vec<&str>) =
        parts.partition(|part| part.starts_with("PG") || part.starts_with("OUTBOX_RELAY_"));
    let sources = Sources {
        file: Some(file),
        environment: variables
            .iter()
            .filter_map(|part| part.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        flags: flags.into_iter().map(str::to_owned).collect(),
        without_files: true,
    };
    if let Err(errors) = load_without_files(&sources) {
        assert!(!errors.to_string().is_empty());
    }
}

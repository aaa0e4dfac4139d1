//! Whether the files that a producer was made from are others by now.
//!
//! librdkafka reads certificates and secrets once, when a producer is made. A producer that works is never disturbed;
//! one that the brokers refuse is replaced as soon as one of its files has changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{KafkaSettings, Secret, TokenSource};

/// The properties that name files.
const LOCATIONS: [&str; 5] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
];

/// What tells one state of the files from another. Who replaces or rewrites a file changes one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials(Vec<Option<Mark>>);

type Mark = (u64, u64, u64, i64, i64);

impl Credentials {
    /// As they are now.
    pub(super) fn of(kafka: &KafkaSettings) -> Self {
        let mut marks = Vec::new();
        for file in files(kafka) {
            marks.push(mark(&file));
            marks.extend(below(&file));
        }
        Self(marks)
    }
}

fn files(kafka: &KafkaSettings) -> Vec<PathBuf> {
    let secrets = kafka.secret_properties.values().filter_map(|secret| match secret {
        Secret::File(path) | Secret::InUrl(path) => Some(path.clone()),
        Secret::Value(_) => None,
    });
    let locations = LOCATIONS.iter().filter_map(|name| kafka.properties.get(*name));
    let token = kafka.token_source.iter().filter_map(|source| match source {
        TokenSource::File(path) => Some(path.clone()),
        TokenSource::Command(..) => None,
    });
    secrets.chain(locations.map(PathBuf::from)).chain(token).collect()
}

fn mark(file: &Path) -> Option<Mark> {
    fs::metadata(file).ok().as_ref().map(of_metadata)
}

/// A directory of CA certificates changes with each of them.
fn below(folder: &Path) -> Vec<Option<Mark>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths.iter().map(|path| mark(path)).collect()
}

fn of_metadata(of: &Metadata) -> Mark {
    (of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_file_that_is_rewritten_replaced_or_taken_away_is_another_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let (secret, ca) = (folder.path().join("secret"), folder.path().join("ca"));
        fs::create_dir(&ca).expect("made");
        fs::write(&secret, "one").expect("written");
        let kafka = KafkaSettings {
            bootstrap_servers: String::new(),
            client_id: String::new(),
            properties: BTreeMap::from([("ssl.ca.location".to_owned(), ca.display().to_string())]),
            secret_properties: BTreeMap::from([("sasl.password".to_owned(), Secret::File(secret.clone()))]),
            token_source: None,
        };
        let mut before = Credentials::of(&kafka);
        assert_eq!(before, Credentials::of(&kafka));
        let changes: [&dyn Fn() -> std::io::Result<()>; 4] = [
            &|| fs::write(&secret, "three"),
            &|| {
                fs::write(folder.path().join("new"), "three")
                    .and_then(|()| fs::rename(folder.path().join("new"), &secret))
            },
            &|| fs::write(ca.join("one.pem"), "x"),
            &|| fs::remove_file(&secret),
        ];
        for change in changes {
            change().expect("changed");
            let after = Credentials::of(&kafka);
            assert_ne!(before, after);
            before = after;
        }
    }
}

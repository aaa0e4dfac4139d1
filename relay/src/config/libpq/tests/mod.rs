//! Connection strings and variables, as they come out of the whole configuration.

mod layers;
mod round_trip;
mod strings;
mod variables;

use secrecy::ExposeSecret;

use crate::config::trial::Trial;
use crate::config::{Loaded, PostgresSettings};

/// With a connection string in the file, and nothing else of PostgreSQL.
fn with_url(url: &str) -> Trial {
    Trial::of(&format!(
        "kafka.bootstrap_servers = 'b:9092'\npostgres.url = \"\"\"{}\"\"\"",
        url.replace('\\', "\\\\")
    ))
}

fn without_postgres() -> Trial {
    Trial::of("kafka.bootstrap_servers = 'b:9092'")
}

fn postgres(trial: Trial) -> PostgresSettings {
    trial
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"))
        .settings
        .postgres
}

fn shown(loaded: &Loaded, path: &str) -> (Option<String>, String) {
    let found = loaded
        .effective
        .iter()
        .find(|shown| shown.path == path)
        .expect("the key");
    (found.value.clone(), found.source.clone())
}

fn password(postgres: &PostgresSettings) -> Option<String> {
    let secret = postgres.password.as_ref()?;
    Some(secret.reveal().expect("read").expose_secret().to_owned())
}

fn hosts(postgres: &PostgresSettings) -> Vec<String> {
    postgres.hosts.iter().map(ToString::to_string).collect()
}

/// A file with this text, for as long as the guard lives.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    let path = file.path().display().to_string();
    (file, path)
}

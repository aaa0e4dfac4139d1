//! For the tests of this folder: a configuration that is put together and loaded.

use std::path::PathBuf;

use super::{ConfigErrors, Effective, Loaded, Settings, Sources, load, load_without_files, load_without_kafka, read};

#[derive(Default)]
pub(crate) struct Trial {
    text: Option<String>,
    sources: Sources,
}

impl Trial {
    /// Without a file.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// With this file.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: Some(text.to_owned()),
            ..Self::default()
        }
    }

    /// With a file that gives what is required.
    pub(crate) fn minimal() -> Self {
        Self::of("postgres.database = 'shop'\nkafka.bootstrap_servers = 'b:9092'")
    }

    /// More lines at the end of the file.
    pub(crate) fn and(mut self, text: &str) -> Self {
        let before = self.text.take().unwrap_or_default();
        self.text = Some(format!("{before}\n{text}"));
        self
    }

    /// A file that is there already.
    pub(crate) fn with_file(mut self, path: &str) -> Self {
        self.sources.file = Some(PathBuf::from(path));
        self
    }

    /// A variable, without its prefix.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.sources
            .environment
            .push((format!("OUTBOX_RELAY_{name}"), value.to_owned()));
        self
    }

    /// A variable of another program's, such as one of libpq's.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What stands behind a `--set`.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.sources.flags.push(flag.to_owned());
        self
    }

    pub(crate) fn load(self) -> Result<Loaded, ConfigErrors> {
        self.with_sources(load)
    }

    /// What is read, whatever is wrong beside it.
    pub(crate) fn effective(self) -> Vec<Effective> {
        self.with_sources(|sources| read(sources).1)
    }

    /// Without a look at the files that keys name.
    pub(crate) fn load_without_files(self) -> Result<Option<Settings>, ConfigErrors> {
        self.with_sources(load_without_files)
    }

    /// Without anything of Kafka.
    pub(crate) fn load_without_kafka(self) -> Result<Settings, ConfigErrors> {
        self.with_sources(load_without_kafka)
    }

    fn with_sources<T>(mut self, work: impl FnOnce(&Sources) -> T) -> T {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(text) = &self.text {
            let path = folder.path().join("relay.toml");
            std::fs::write(&path, text).expect("written");
            self.sources.file = Some(path);
        }
        work(&self.sources)
    }

    pub(crate) fn errors(self) -> ConfigErrors {
        self.load().expect_err("errors")
    }
}

//! The relay's configuration, for the parts of this program that take the relay's place for once.

use std::path::PathBuf;

use clap::Args;
use outbox_relay::config::{self, Settings, Sources};

use crate::failure::Failure;

/// As the relay's own command line has it.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Configuration {
    pub(crate) fn load(&self) -> Result<Settings, Failure> {
        let sources = Sources {
            file: Some(self.config.clone()),
            flags: self.set.clone(),
            ..Sources::default()
        };
        let loaded = config::load(&sources).map_err(|errors| Failure::Configuration(errors.to_string()))?;
        Ok(loaded.settings)
    }
}

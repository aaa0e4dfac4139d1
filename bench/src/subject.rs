//! Which relay is measured, and with which settings.

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::relay;

/// The same options for every sub-command.
#[derive(Debug, Default, Args)]
pub(crate) struct Subject {
    /// The relay to measure, instead of this workspace's release build
    #[arg(long, value_name = "FILE")]
    pub(crate) relay: Option<PathBuf>,
    /// Sets a key of the relay's configuration, for experiments; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Brokers that start sooner and carry less: for tests of this program
    #[arg(long, hide = true)]
    pub(crate) quick_start: bool,
}

impl Subject {
    /// The program itself, built if it is the workspace's.
    pub(crate) fn program(&self) -> Result<PathBuf, Failure> {
        relay::program(self.relay.as_deref())
    }
}

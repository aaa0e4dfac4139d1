//! `outbox-relay archive`: is what was archived whole, and publish it once more.

mod republish;
mod verify;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Failure, Refusal};
use crate::archive::{Damage, Folder, Found};
use crate::config::Loaded;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Compare every file of an archive with its manifest
    Verify {
        /// The folder with the files and their manifests
        folder: PathBuf,
    },
    /// Publish archived rows once more, with the idempotency keys they always had
    Republish(Box<republish::Arguments>),
}

/// Only what publishes needs a configuration.
pub(super) fn archive(command: &Command, load: impl FnOnce() -> Result<Loaded, Failure>) -> Result<(), Failure> {
    match command {
        Command::Verify { folder } => verify::verify(folder),
        Command::Republish(arguments) => republish::republish(&load()?.settings, arguments),
    }
}

/// An archive with something in it.
fn open(path: &Path) -> Result<(Folder, Found), Failure> {
    let folder = Folder::at(path);
    let unreadable = |why: String| {
        Failure::new(
            Refusal::ArchiveUnreadable,
            format!("{}: {why}", path.display()),
            "name the folder that retention.archive_folder names",
        )
    };
    let found = folder.look().map_err(|error| unreadable(error.to_string()))?;
    if found.manifests.is_empty() && found.damages.is_empty() {
        return Err(unreadable("there is no manifest in it".to_owned()));
    }
    Ok((folder, found))
}

fn damaged(damages: &[Damage]) -> Failure {
    let list: Vec<String> = damages
        .iter()
        .map(|damage| format!("{}: {}", damage.file, damage.what))
        .collect();
    Failure::new(
        Refusal::ArchiveDamaged,
        format!("files are not as their manifests say:\n    {}", list.join("\n    ")),
        "restore them from a backup, or move them away together with their manifests",
    )
}

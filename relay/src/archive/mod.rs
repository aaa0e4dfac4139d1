//! Outbox rows that are kept outside of the database: JSON lines, one a row, in files with a manifest each.
//!
//! A file is held in memory until it is whole, so that its manifest is known before anybody gets it. A row is removed from its
//! table only after the file that has it and the manifest are safe, in this order: a crash in between leaves rows in two
//! files, never in none. Whoever publishes an archive once more need not care: consumers recognise the idempotency key.

mod command;
mod file;
mod folder;
mod line;
mod manifest;
mod reader;
mod text;

use crate::config::ArchiveTarget;

pub(crate) use file::{ArchiveFile, Origin};
pub(crate) use line::{Line, Unmappable};
pub(crate) use manifest::Manifest;
pub(crate) use reader::{Damage, Folder, Found};

/// Why an archive could not be written. Nothing of it was removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// The folder, or a file in it.
    #[error("archive folder {folder}: {source}")]
    Folder { folder: String, source: std::io::Error },
    /// What became of the program, or what it said.
    #[error("archive command: {0}")]
    Command(String),
}

/// Puts a file where it is safe, and returns only then.
pub(crate) fn keep(target: &ArchiveTarget, file: &ArchiveFile) -> Result<(), ArchiveError> {
    match target {
        ArchiveTarget::Folder(folder) => folder::keep(folder, file),
        ArchiveTarget::Command {
            program,
            arguments,
            timeout_ms,
        } => command::keep(program, arguments, *timeout_ms, file),
    }
}

//! An archive in a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{ArchiveError, ArchiveFile, Manifest};

/// Ends the name of a file that is not whole.
pub(super) const PART: &str = ".part";

/// Writes the file, then its manifest, each whole and on the disk before the next step: a manifest says that its file is there.
pub(super) fn keep(folder: &Path, file: &ArchiveFile) -> Result<(), ArchiveError> {
    let written = write(folder, file.name(), file.bytes()).and_then(|()| {
        write(
            folder,
            &Manifest::name_of(file.name()),
            file.manifest().to_json().as_bytes(),
        )
    });
    written.map_err(|source| ArchiveError::Folder {
        folder: folder.display().to_string(),
        source,
    })
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = folder.join(format!("{name}{PART}"));
    let written = write_whole(&part, bytes).and_then(|()| fs::rename(&part, folder.join(name)));
    if written.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(&part);
    }
    written?;
    // The name is on the disk only with the folder.
    File::open(folder)?.sync_all()
}

/// Events may be anybody's secrets.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Origin;

    fn file() -> ArchiveFile {
        let origin = Origin {
            slot: "s".to_owned(),
            outbox: "default".to_owned(),
            table: "public.outbox".to_owned(),
            committed_before: "0/1".to_owned(),
        };
        ArchiveFile::new(origin, "now")
    }

    #[test]
    fn a_file_and_its_manifest_are_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        keep(folder.path(), &file()).expect("kept");
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names, ["default-now.jsonl", "default-now.jsonl.manifest.json"]);
        let mode = fs::metadata(folder.path().join(&names[0]))
            .expect("a file")
            .permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_and_not_made() {
        let folder = tempfile::tempdir().expect("a folder").path().join("not mounted");
        let error = keep(&folder, &file()).expect_err("no folder");
        assert!(error.to_string().contains("not mounted"), "{error}");
        assert!(!folder.exists());
    }
}

//! A disk of a few MiB that can be filled and freed.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::failure::{Failure, Outcome, ensure};

const PIECE: [u8; 4096] = [7; 4096];

/// A mounted file system of its own. Dropped, it is unmounted.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one. Only root may.
    ///
    /// # Errors
    /// The system refuses.
    pub fn mount(mib: u32) -> Outcome<SmallDisk> {
        let folder = tempfile::tempdir()?;
        // Whoever runs the servers must be able to enter.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let options = format!("size={mib}m,mode=0755");
        mount(
            Some("tmpfs"),
            folder.path(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|errno| Failure::new(format!("a small disk cannot be mounted ({errno}): run this as root")))?;
        Ok(SmallDisk(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// Nothing was left, or it cannot be written to for another reason.
    pub fn fill(&self) -> Outcome {
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.ballast())?;
        let mut pieces = 0;
        loop {
            match ballast.write(&PIECE) {
                Ok(bytes) if bytes > 0 => pieces += 1,
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        ensure(pieces > 0, || "the disk was full already".to_owned())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// It was not filled.
    pub fn free(&self) -> Outcome {
        Ok(fs::remove_file(self.ballast())?)
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps what is left of it until the end.
        if let Err(errno) = umount2(self.0.path(), MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {errno}", self.0.path().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_and_a_freed_one_does() -> Outcome {
        let disk = SmallDisk::mount(1)?;
        let file = disk.path().join("file");
        disk.fill()?;
        assert!(fs::write(&file, PIECE).is_err_and(|error| error.kind() == ErrorKind::StorageFull));
        disk.free()?;
        fs::write(&file, PIECE)?;
        Ok(())
    }
}

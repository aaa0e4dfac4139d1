//! A copy of a stopped server's data, to be put in their place: what restoring an old backup does to a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Postgres, StackError};

/// Data of a server beside those that it uses. Removed together with them.
#[derive(Debug)]
pub struct DataCopy(PathBuf);

impl Postgres {
    /// Copies the data, with their owner. The server must be stopped.
    ///
    /// # Errors
    ///
    /// [`StackError::Running`], [`StackError::File`] and [`StackError::Command`].
    pub fn copy_data(&mut self) -> Result<DataCopy, StackError> {
        self.ensure_stopped()?;
        let copy = beside(self.data_dir(), "copy");
        let mut command = Command::new("cp");
        command.arg("-a").arg(self.data_dir()).arg(&copy);
        let output = command.output().map_err(StackError::file("copy", self.data_dir()))?;
        if output.status.success() {
            return Ok(DataCopy(copy));
        }
        Err(StackError::Command {
            command: format!("{command:?}"),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
            remedy: "Look for free space on the disk.",
        })
    }

    /// Exchanges the data and the copy: what was in use before is the copy then. The server must be stopped.
    ///
    /// # Errors
    ///
    /// [`StackError::Running`] and [`StackError::File`].
    pub fn exchange_data(&mut self, copy: &DataCopy) -> Result<(), StackError> {
        self.ensure_stopped()?;
        let data = self.data_dir();
        let aside = beside(data, "aside");
        for (from, to) in [(data, &*aside), (&*copy.0, data), (&*aside, &*copy.0)] {
            fs::rename(from, to).map_err(StackError::file("rename", from))?;
        }
        Ok(())
    }

    fn ensure_stopped(&mut self) -> Result<(), StackError> {
        if self.is_running() {
            return Err(StackError::Running {
                server: "PostgreSQL".to_owned(),
            });
        }
        Ok(())
    }
}

fn beside(data: &Path, name: &str) -> PathBuf {
    data.with_extension(name)
}

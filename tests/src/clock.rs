//! A system clock of one relay's own, which a test sets (`tests/clock/clock.c`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome, ensure};

/// What decides how late it is for a process that is started with [`Clock::environment`].
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// One that is right, with its files in a folder.
    ///
    /// # Errors
    /// There is no C compiler.
    pub fn make(folder: &Path) -> Outcome<Clock> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clock/clock.c");
        let clock = Clock {
            library: folder.join("clock.so"),
            file: folder.join("clock"),
        };
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&clock.library, &source])
            .arg("-ldl")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success(), || said)?;
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it off the right time by so many seconds.
    ///
    /// # Errors
    /// The file cannot be replaced.
    pub fn set(&self, off_by_s: i64) -> Outcome {
        let new = self.file.with_extension("new");
        fs::write(&new, off_by_s.to_string())?;
        Ok(fs::rename(new, &self.file)?)
    }

    /// What to start a process with.
    ///
    /// # Errors
    /// The folder's name is no text.
    pub fn environment(&self) -> Outcome<[(&'static str, String); 2]> {
        let text = |path: &PathBuf| {
            let no_text = || Failure::new(format!("{} is no text", path.display()));
            path.to_str().map(str::to_owned).ok_or_else(no_text)
        };
        Ok([("LD_PRELOAD", text(&self.library)?), ("CLOCK_FILE", text(&self.file)?)])
    }
}

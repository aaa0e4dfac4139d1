//! Programs that Maven's repository has as one archive: what the relay is compared with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::StackError;
use super::layout::Layout;
use super::packages::{APT, download, find, only_file, run};

/// The plugin by its version: without one, Maven takes whatever an unnamed project of its own version has.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";
/// Written last, so that a folder without it is not a whole one.
const SUM_FILE: &str = "archive.sha256";

/// A `tar.gz` of Maven's repository, by its coordinates and its contents.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    /// `group:artifact`.
    pub artifact: &'static str,
    /// The version.
    pub version: &'static str,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub sha256: &'static str,
    /// Shell patterns of members that are not needed.
    pub without: &'static [&'static str],
}

impl Archive {
    /// The folder with its members, below the first folder of each; downloaded first when it is not there.
    ///
    /// # Errors
    ///
    /// [`StackError::Missing`] when Maven is missing or the archive is another one than expected,
    /// [`StackError::Command`] when the download or the unpacking fails.
    pub fn unpacked(&self) -> Result<PathBuf, StackError> {
        let layout = Layout::of_workspace()?;
        let place = layout.downloads().join(format!("{}-{}", self.name(), self.version));
        let current = |place: &Path| fs::read_to_string(place.join(SUM_FILE)).is_ok_and(|sum| sum == self.sha256);
        download(&place, current, |partial| self.fill(partial))?;
        Ok(place)
    }

    fn name(&self) -> &str {
        self.artifact.rsplit(':').next().unwrap_or(self.artifact)
    }

    fn fill(&self, partial: &Path) -> Result<(), StackError> {
        let mvn = find("mvn").ok_or_else(|| {
            StackError::missing(
                format!("mvn (Maven), which downloads {},", self.name()),
                format!("{APT} `apt-get install maven`"),
            )
        })?;
        let mut maven = Command::new(mvn);
        maven.args(["--batch-mode", "--quiet", "-Dstyle.color=never", COPY]);
        maven.arg(format!("-Dartifact={}:{}:tar.gz", self.artifact, self.version));
        maven.arg(format!("-DoutputDirectory={}", partial.display()));
        maven.current_dir(partial);
        run(
            &mut maven,
            "Check the network and Maven's settings (~/.m2/settings.xml), then try again.",
        )?;
        let archive = only_file(partial, "gz")?;
        self.verify(&archive)?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--no-same-owner", "--strip-components=1"]);
        tar.args(self.without.iter().map(|pattern| format!("--exclude={pattern}")));
        tar.arg("--directory").arg(partial).arg("--file").arg(&archive);
        run(&mut tar, "Install tar and gzip, then try again.")?;
        fs::remove_file(&archive).map_err(StackError::file("remove", &archive))?;
        let sum = partial.join(SUM_FILE);
        fs::write(&sum, self.sha256).map_err(StackError::file("write", &sum))
    }

    fn verify(&self, archive: &Path) -> Result<(), StackError> {
        let output = Command::new("sha256sum")
            .arg(archive)
            .output()
            .map_err(StackError::file("run", "sha256sum".as_ref()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.split_whitespace().next() == Some(self.sha256) {
            return Ok(());
        }
        let what = format!(
            "the archive of {} {} with SHA-256 {}",
            self.name(),
            self.version,
            self.sha256
        );
        let remedy = format!(
            "{} holds something else; remove it from ~/.m2 and try again",
            archive.display()
        );
        Err(StackError::missing(what, remedy))
    }
}

//! Debezium Server as it is published, and the Java to run it with.

use std::ffi::OsString;
use std::path::PathBuf;

use outbox_relay_tests::stack::{Archive, StackError, java_of_at_least};

use crate::failure::Failure;
use crate::progress;

/// What its Quarkus was built for.
const JAVA_MAJOR: u32 = 21;

/// 780 MB to download, and kept: who compares once compares again.
const ARCHIVE: Archive = Archive {
    artifact: "io.debezium:debezium-server-dist",
    version: "3.6.1.Final",
    sha256: "f95567c7107e5ae0a778dce850c36e86487b2c49e131dfc9bbb72c7ac2feb944",
    // Connectors for Cassandra, and what its scripting needs: half of the archive, and not on the class path.
    without: &["*/connectors/*", "*/lib_opt/*"],
};

/// What can be run.
#[derive(Debug)]
pub(super) struct Distribution {
    folder: PathBuf,
    pub(super) java: PathBuf,
    java_major: u32,
}

impl Distribution {
    /// Downloads it when it is not there.
    pub(super) fn find() -> Result<Distribution, Failure> {
        // Before the download, which takes minutes.
        let (java, java_major) = java_of_at_least(JAVA_MAJOR).map_err(|missing| without_java(&missing))?;
        progress::step(&format!("looking for Debezium Server {}", ARCHIVE.version));
        let folder = ARCHIVE.unpacked()?;
        Ok(Distribution {
            folder,
            java,
            java_major,
        })
    }

    /// As its own `run.sh` has it: the server, then all of its libraries.
    pub(super) fn class_path(&self) -> OsString {
        let runner = format!("debezium-server-dist-{}-runner.jar", ARCHIVE.version);
        let mut class_path = self.folder.join(runner).into_os_string();
        class_path.push(":");
        class_path.push(self.folder.join("lib/*"));
        class_path
    }

    /// For results.
    pub(super) fn version(&self) -> String {
        format!("Debezium Server {}, Java {}", ARCHIVE.version, self.java_major)
    }
}

fn without_java(missing: &StackError) -> Failure {
    Failure::NoDebezium {
        version: ARCHIVE.version,
        missing: missing.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_its_java_it_is_said_what_to_install_and_what_can_be_compared_all_the_same() {
        let missing = StackError::Missing {
            what: "Java 21".to_owned(),
            remedy: "found: version 17; install a Java 21".to_owned(),
        };
        let said = without_java(&missing).to_string();
        for part in [
            "Debezium Server 3.6.1.Final cannot be run",
            "Java 21 is missing",
            "install a Java 21",
            "--without-debezium --other",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }
}

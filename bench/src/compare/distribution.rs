//! Debezium as it is published, and the Java to run it with.

use std::ffi::OsString;
use std::path::PathBuf;

use outbox_relay_tests::stack::{Archive, StackError, java_of_at_least};

use crate::failure::Failure;
use crate::progress;

/// 780 MB to download, and kept: who compares once compares again.
const ARCHIVE: Archive = Archive {
    artifact: "io.debezium:debezium-server-dist",
    version: "3.6.1.Final",
    sha256: "f95567c7107e5ae0a778dce850c36e86487b2c49e131dfc9bbb72c7ac2feb944",
    // Connectors for Cassandra, and what its scripting needs: half of the archive, and not on the class path.
    without: &["*/connectors/*", "*/lib_opt/*"],
};

/// What of it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Server,
    /// With a producer of ours, where the server's Java is missing.
    EmbeddedEngine,
}

impl Program {
    /// What its classes were compiled for.
    const fn java_major(self) -> u32 {
        match self {
            Program::Server => 21,
            Program::EmbeddedEngine => 17,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Program::Server => "Debezium Server",
            Program::EmbeddedEngine => "Debezium's embedded engine",
        }
    }
}

/// What can be run.
#[derive(Debug)]
pub(super) struct Distribution {
    folder: PathBuf,
    pub(super) program: Program,
    pub(super) java: PathBuf,
    java_major: u32,
}

impl Distribution {
    /// The server if its Java is there and nobody wants the engine. Downloads it when it is not there.
    pub(super) fn find(is_engine_wanted: bool) -> Result<Distribution, Failure> {
        // Before the download, which takes minutes.
        let (program, (java, java_major)) = java_for(is_engine_wanted)?;
        progress::step(&format!("looking for {} {}", program.name(), ARCHIVE.version));
        let folder = ARCHIVE.unpacked()?;
        Ok(Distribution {
            folder,
            program,
            java,
            java_major,
        })
    }

    /// As its own `run.sh` has it: the server, then all of its libraries.
    pub(super) fn class_path(&self) -> OsString {
        let runner = format!("debezium-server-dist-{}-runner.jar", ARCHIVE.version);
        let mut class_path = self.folder.join(runner).into_os_string();
        class_path.push(":");
        class_path.push(self.libraries());
        class_path
    }

    /// The server's, and the engine's among them.
    pub(super) fn libraries(&self) -> PathBuf {
        self.folder.join("lib/*")
    }

    /// For results.
    pub(super) fn version(&self) -> String {
        format!("{} {}, Java {}", self.program.name(), ARCHIVE.version, self.java_major)
    }
}

fn java_for(is_engine_wanted: bool) -> Result<(Program, (PathBuf, u32)), Failure> {
    let of = |program: Program| java_of_at_least(program.java_major()).map(|java| (program, java));
    if is_engine_wanted {
        return of(Program::EmbeddedEngine).map_err(|missing| without_java(&missing));
    }
    of(Program::Server).or_else(|missing| {
        progress::step(&format!("no Debezium Server, its engine instead: {missing}"));
        of(Program::EmbeddedEngine).map_err(|missing| without_java(&missing))
    })
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
            what: "Java 17".to_owned(),
            remedy: "none was found; install a Java 17".to_owned(),
        };
        let said = without_java(&missing).to_string();
        for part in [
            "Debezium 3.6.1.Final cannot be run",
            "Java 17 is missing",
            "install a Java 17",
            "--without-debezium --other",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }
}

//! How the Java programs of Kafka are started.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::StackError;
use super::java::java;
use super::layout::Layout;
use super::packages::kafka_jars;
use super::process::tail;

const JVM_TOOL: [&str; 3] = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
const JVM_LOG: [&str; 2] = [
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
];

/// How a Java program of Kafka is started.
#[derive(Debug)]
pub(super) struct Launch {
    java: PathBuf,
    jars: PathBuf,
}

/// What is formatted: a node's configuration names the folder.
pub(super) struct Storage<'a> {
    pub(super) config: PathBuf,
    pub(super) log_file: &'a Path,
}

impl Launch {
    /// Finds Java, and the jars of a release.
    pub(super) fn of(layout: &Layout, version: &str) -> Result<Launch, StackError> {
        Ok(Launch {
            java: java()?,
            jars: kafka_jars(layout, version)?,
        })
    }

    /// A command that runs a class with these options of the virtual machine.
    pub(super) fn command(&self, jvm: &[impl AsRef<OsStr>], class: &str) -> Command {
        let mut command = Command::new(&self.java);
        // Variables of the caller's own Kafka or Java set-up have no business here.
        for variable in [
            "KAFKA_OPTS",
            "KAFKA_HEAP_OPTS",
            "JAVA_TOOL_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "CLASSPATH",
        ] {
            command.env_remove(variable);
        }
        command
            .args(jvm)
            .args(JVM_LOG)
            .args(["-XX:-UsePerfData", "-cp"])
            .arg(self.jars.join("*"))
            .arg(class);
        command
    }

    /// How a shell starts a program of Kafka; its class comes behind.
    pub(super) fn shell(&self) -> String {
        format!("{} -cp '{}'", self.java.display(), self.jars.join("*").display())
    }

    /// Gives the storage of all nodes the same cluster id, at the same time for all.
    pub(super) fn format(&self, nodes: &[Storage<'_>]) -> Result<(), StackError> {
        let cluster_id = cluster_id();
        let mut running = Vec::new();
        for node in nodes {
            let mut command = self.command(&JVM_TOOL, "kafka.tools.StorageTool");
            command
                .args(["format", "--cluster-id", &cluster_id, "--config"])
                .arg(&node.config);
            let log = fs::File::create(node.log_file).map_err(StackError::file("create", node.log_file))?;
            let second = log.try_clone().map_err(StackError::file("open", node.log_file))?;
            let child = command.stdin(Stdio::null()).stdout(log).stderr(second).spawn();
            running.push((node, child.map_err(StackError::file("run", &self.java))?));
        }
        for (node, mut child) in running {
            let status = child.wait().map_err(StackError::file("run", &self.java))?;
            if !status.success() {
                return Err(StackError::Command {
                    command: format!("kafka-storage format --config {}", node.config.display()),
                    status: status.to_string(),
                    output: tail(node.log_file),
                    remedy: "A wrong broker setting is the usual reason; it is named above.",
                });
            }
        }
        Ok(())
    }
}

/// A random id in the form Kafka wants: 16 bytes in URL-safe Base64 without padding.
fn cluster_id() -> String {
    // 21 characters are 126 bits, the last two bits are zero.
    let mut id: String = std::iter::repeat_with(fastrand::alphanumeric).take(21).collect();
    id.push('A');
    id
}

//! Debezium with its Event Router: from a slot of the benchmark to a topic of its own.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Options;
use super::distribution::{Distribution, Program};
use super::placeholders::{self, Values};
use crate::backlog::AGGREGATE_TYPE;
use crate::carrier::Carrier;
use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Every setting with its reason.
const PROPERTIES: &str = include_str!("../../debezium/application.properties");
const JVM_OPTIONS: &str = include_str!("../../debezium/jvm.options");
const SERVER: &str = "io.debezium.server.Main";
const ENGINE: &str = "EmbeddedEngine";
const ENGINE_SOURCE: &str = include_str!("../../debezium/EmbeddedEngine.java");
/// For a compiler that starts.
const COMPILE_LIMIT: Duration = Duration::from_mins(2);
const TOPIC_PREFIX: &str = "debezium.event.";
/// It waits for its own threads first.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How to start it.
#[derive(Debug)]
pub(super) struct Debezium {
    distribution: Distribution,
    folder: PathBuf,
    values: Vec<(&'static str, String)>,
    heap_mib: u32,
    overrides: Vec<String>,
    starts: Cell<u32>,
}

impl Debezium {
    /// `values` lead to both servers; files go below `folder`; `options` have its heap, and settings for experiments.
    pub(super) fn new(
        distribution: Distribution,
        folder: &Path,
        values: &Values,
        options: &Options,
        interrupt: &Interrupt,
    ) -> Result<Debezium, Failure> {
        let debezium = Debezium {
            distribution,
            folder: folder.join("debezium"),
            values: values.to_vec(),
            heap_mib: options.debezium_heap_mib,
            overrides: options.debezium_set.clone(),
            starts: Cell::new(0),
        };
        if debezium.distribution.program == Program::EmbeddedEngine {
            debezium.compile(interrupt)?;
        }
        Ok(debezium)
    }

    /// Here and not at each start, which is measured.
    fn compile(&self, interrupt: &Interrupt) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder).map_err(Failure::file("make", &self.folder))?;
        let source = self.folder.join(format!("{ENGINE}.java"));
        write(&source, ENGINE_SOURCE)?;
        let program = self.distribution.java.with_file_name("javac");
        if !program.exists() {
            let remedy = "install the JDK of this Java, which has the compiler, such as openjdk-17-jdk-headless";
            return Err(Failure::Missing { program, remedy });
        }
        let mut compiler = Command::new(program);
        compiler.arg("-cp").arg(self.distribution.libraries());
        compiler.arg("-d").arg(self.classes()).arg(&source);
        Child::spawn(compiler, "javac", &self.folder.join("javac.log"))?.wait(COMPILE_LIMIT, interrupt)
    }

    fn classes(&self) -> PathBuf {
        self.folder.join("classes")
    }

    /// What follows Java's own options.
    fn arguments(&self) -> Vec<OsString> {
        match self.distribution.program {
            Program::Server => vec![self.distribution.class_path(), SERVER.into()],
            Program::EmbeddedEngine => {
                let mut class_path = self.classes().into_os_string();
                class_path.push(":");
                class_path.push(self.distribution.libraries());
                vec![class_path, ENGINE.into(), "config/application.properties".into()]
            }
        }
    }

    /// Where the router sends the rows.
    pub(super) fn topic() -> String {
        format!("{TOPIC_PREFIX}{AGGREGATE_TYPE}")
    }

    /// A folder for one start. Offsets of an earlier one would count more than the slot's position.
    fn prepare(&self, slot: &str) -> Result<PathBuf, Failure> {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let folder = self.folder.join(start.to_string());
        let config = folder.join("config");
        fs::create_dir_all(&config).map_err(Failure::file("make", &config))?;
        // The last one of two counts.
        let settings = format!("{}\n{}\n", properties(&self.values, slot)?, self.overrides.join("\n"));
        write(&config.join("application.properties"), &settings)?;
        write(&folder.join("jvm.options"), &jvm_options(self.heap_mib)?)?;
        Ok(folder)
    }
}

impl Carrier for Debezium {
    fn name(&self) -> &'static str {
        self.distribution.program.name()
    }

    /// For the server what its `run.sh` executes, from a folder of our own.
    fn start(&self, slot: &str) -> Result<Child, Failure> {
        let folder = self.prepare(slot)?;
        let mut command = Command::new(&self.distribution.java);
        command.args(["@jvm.options", "-cp"]).args(self.arguments());
        command.current_dir(&folder);
        Child::spawn(command, self.name(), &folder.join("debezium.log"))
    }

    /// A Java that was asked to end says so with its status.
    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        running.stop_anyhow(STOP_LIMIT, interrupt)
    }
}

fn properties(values: &Values, slot: &str) -> Result<String, Failure> {
    let own = [("slot", slot.to_owned()), ("topic_prefix", TOPIC_PREFIX.to_owned())];
    let values: Vec<(&'static str, String)> = values.iter().cloned().chain(own).collect();
    filled("application.properties", PROPERTIES, &values)
}

fn jvm_options(heap_mib: u32) -> Result<String, Failure> {
    filled("jvm.options", JVM_OPTIONS, &[("heap_mib", heap_mib.to_string())])
}

fn filled(file: &str, text: &str, values: &Values) -> Result<String, Failure> {
    placeholders::fill(text, values).map_err(|name| {
        let reason = format!("{{{name}}} stands for nothing");
        Failure::content(&Path::new("bench/debezium").join(file), &reason)
    })
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(Failure::file("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::connection;

    #[test]
    fn every_setting_has_its_reason_above_it() {
        for text in [PROPERTIES, JVM_OPTIONS] {
            let mut reason = "";
            for line in text.lines() {
                assert!(
                    line.is_empty() || line.starts_with('#') || !reason.is_empty(),
                    "no reason for {line}"
                );
                // One reason may hold for several lines that follow each other.
                reason = if line.is_empty() || line.starts_with('#') {
                    line
                } else {
                    reason
                };
            }
        }
    }

    #[test]
    fn the_settings_are_filled_in_and_the_routers_own_variable_stays() {
        let text = properties(&connection::example(), "a_slot").expect("settings");
        assert!(text.contains("debezium.source.slot.name=a_slot\n"));
        assert!(text.contains("replacement=debezium.event.$${routedByValue}\n"));
        assert!(text.contains("bootstrap.servers=127.0.0.1:9092\n"));
        let options = jvm_options(256).expect("options");
        assert!(options.contains("-Xmx256m\n"), "{options}");
    }
}

//! perf beside the relay, from its start to its end.

use std::cell::RefCell;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::carrier::Carrier;
use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::relay::Relay;

const PROGRAM: &str = "perf";
/// For the end of a recording, and for its translation into text.
const LIMIT: Duration = Duration::from_mins(5);

/// An error where perf cannot be run at all.
pub(super) fn expect() -> Result<(), Failure> {
    let mut version = Command::new(PROGRAM);
    version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Failure::Missing {
        program: PathBuf::from(PROGRAM),
        remedy: "install perf, which is in Debian's linux-perf",
    })
}

/// The relay, recorded while it runs. It is to be started once.
pub(super) struct Recorded<'r> {
    relay: &'r Relay,
    data: PathBuf,
    log: PathBuf,
    frequency: u32,
    recording: RefCell<Option<Child>>,
}

impl<'r> Recorded<'r> {
    /// `frequency` in samples a second; files go into `folder`.
    pub(super) fn new(relay: &'r Relay, folder: &Path, frequency: u32) -> Recorded<'r> {
        Recorded {
            relay,
            data: folder.join("perf.data"),
            log: folder.join("perf.log"),
            frequency,
            recording: RefCell::new(None),
        }
    }

    /// What was recorded: a line for each stack, with the thread first and its weight last.
    pub(super) fn stacks(&self, interrupt: &Interrupt) -> Result<String, Failure> {
        let text = self.data.with_extension("txt");
        let mut script = Command::new(PROGRAM);
        script.args(["script", "--input"]).arg(&self.data);
        Child::spawn_to(script, "perf script", &text, &self.log)?.wait(LIMIT, interrupt)?;
        let text = BufReader::new(File::open(&text).map_err(Failure::file("open", &text))?);
        let mut stacks = Vec::new();
        let collapsed = Folder::from(Options::default()).collapse(text, &mut stacks);
        collapsed.map_err(Failure::file("understand", &self.data))?;
        Ok(String::from_utf8_lossy(&stacks).into_owned())
    }
}

impl Carrier for Recorded<'_> {
    fn name(&self) -> &'static str {
        "the relay under perf"
    }

    fn start(&self, slot: &str) -> Result<Child, Failure> {
        let relay = self.relay.start(slot)?;
        let mut record = Command::new(PROGRAM);
        record.args(["record", "--quiet", "-g", "--freq", &self.frequency.to_string()]);
        record.args(["--pid", &relay.pid().to_string(), "--output"]);
        record.arg(&self.data);
        *self.recording.borrow_mut() = Some(Child::spawn(record, "perf record", &self.log)?);
        Ok(relay)
    }

    /// perf ends with what it records.
    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        Relay::stop(running, interrupt)?;
        let recording = self.recording.borrow_mut().take();
        recording.map_or(Ok(()), |mut recording| recording.wait(LIMIT, interrupt))
    }

    fn admin_port(&self) -> Option<u16> {
        Carrier::admin_port(self.relay)
    }
}

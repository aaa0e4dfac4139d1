//! A program of the operator's: run without a shell, for a bounded time, ended with whatever it has started.

use std::io::Read;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Of its complaints, so much is shown.
const SAID_BYTES_MAX: u64 = 1024;

/// The program and whatever it has started. Dropped, all of it ends, so that nothing keeps the pipes open.
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// Of a program that was started in a process group of its own.
    pub(crate) fn of(child: &Child) -> Self {
        Self(i32::try_from(child.id()).ok().map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Usually nobody is left.
        let _ = self.0.map(|group| killpg(group, Signal::SIGKILL));
    }
}

/// Its end, if that comes in time.
pub(crate) fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().ok().flatten() {
            return Some(status);
        }
        thread::sleep(LOOK_EVERY);
    }
    None
}

/// Reads on a thread of its own, so that a full pipe never holds the program up; what is beyond `bytes` is thrown away.
pub(crate) fn read(pipe: Option<impl Read + Send + 'static>, bytes: u64) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let run = move || {
        let Some(mut pipe) = pipe else { return };
        let mut text = Vec::new();
        let _ = (&mut pipe).take(bytes).read_to_end(&mut text);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        let _ = sender.send(text);
    };
    // Without a thread nothing is sent, which the receiver learns.
    let _ = thread::Builder::new().name("program-io".to_owned()).spawn(run);
    receiver
}

/// What it says on its standard error.
pub(crate) struct Complaints(Receiver<Vec<u8>>);

impl Complaints {
    pub(crate) fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        Self(read(pipe, SAID_BYTES_MAX))
    }

    /// The last line, for a message: what is before it may be a trace with credentials.
    pub(crate) fn shown(&self) -> String {
        let said = self.0.recv_timeout(LOOK_EVERY * 10).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let said = said.replace(|c: char| c.is_control(), " ");
        let said = said.trim();
        if said.is_empty() {
            String::new()
        } else {
            format!("; it said: {said}")
        }
    }
}

//! A child that does not outlive the demo, even when that is killed: the kernel then sends the child SIGTERM, on which
//! the relay drains and ends as it does under any supervisor.
//!
//! The kernel has to be asked by the child itself, between fork and exec. This program does that in a second role: it
//! starts itself, asks, and becomes the child.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// The first argument of the second role.
const ROLE: &str = "--become-tethered";

/// A command that runs `program` on the tether, in a process group of its own: Ctrl-C in the terminal is for the demo,
/// which stops the relay in its turn. The tether is tied to the calling thread.
pub(super) fn command(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(ROLE).arg(std::process::id().to_string()).arg(program);
    command.process_group(0);
    Ok(command)
}

/// Plays the second role if these arguments (without the program's name) ask for it; then it returns only on failure.
pub fn become_tethered(mut arguments: impl Iterator<Item = OsString>) -> Option<io::Error> {
    if arguments.next()? != ROLE {
        return None;
    }
    let (parent, program) = (arguments.next()?, arguments.next()?);
    if let Err(errno) = prctl::set_pdeathsig(Signal::SIGTERM) {
        return Some(errno.into());
    }
    // The parent may have ended before the kernel was asked.
    if parent.to_str() != Some(&getppid().to_string()) {
        return Some(io::Error::other("the demo has ended meanwhile"));
    }
    Some(Command::new(program).args(arguments).exec())
}

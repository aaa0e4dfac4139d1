//! The claim on a stack's name: one living process at a time may start and stop servers under it.
//!
//! The claim is a file lock, which the kernel gives back however its holder ends. Whoever gets it therefore knows that
//! everything still there under that name is a leftover, and clears it away.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StackError;
use super::layout::{Layout, make_dir, remove_dir};
use super::process::{ProcessRecord, servers_under};
use super::shared_memory::remove_segment;
use super::state::State;

/// How many stacks of one kind may run beside each other under numbered names.
const NUMBERED: usize = 20;

/// A claimed name with its folders. Dropped, it gives up the name and removes data and state unless kept.
#[derive(Debug)]
pub(crate) struct Claim {
    layout: Layout,
    data: PathBuf,
    logs: PathBuf,
    state_file: PathBuf,
    state: Mutex<State>,
    keep: AtomicBool,
    /// Locked as long as it is open.
    lock: File,
}

impl Claim {
    /// Claims a name, stops what a dead process left running under it and removes its data.
    pub(crate) fn take(layout: &Layout, name: &str) -> Result<Claim, StackError> {
        check_name(name)?;
        let state_file = state_file(layout, name);
        let lock = lock(layout, name)?;
        let claim = Claim {
            layout: layout.clone(),
            data: layout.data().join(name),
            logs: layout.logs().join(name),
            state: Mutex::new(State {
                name: name.to_owned(),
                started_by: std::process::id(),
                ..State::default()
            }),
            state_file,
            keep: AtomicBool::new(false),
            lock,
        };
        claim.clear()?;
        remove_dir(&claim.logs)?;
        make_dir(&claim.logs, 0o755)?;
        make_dir(&claim.data, 0o755)?;
        claim.change(|state| state.data.clone_from(&claim.data))?;
        Ok(claim)
    }

    /// Claims the first free one of `name`, `name-2`, `name-3` and so on.
    pub(crate) fn take_numbered(layout: &Layout, name: &str) -> Result<Claim, StackError> {
        for number in 2..=NUMBERED {
            let numbered = if number == 2 {
                name.to_owned()
            } else {
                format!("{name}-{}", number - 1)
            };
            match Claim::take(layout, &numbered) {
                Err(StackError::InUse { .. }) => {}
                outcome => return outcome,
            }
        }
        Claim::take(layout, &format!("{name}-{NUMBERED}"))
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log_file(&self, server: &str) -> PathBuf {
        self.logs.join(format!("{server}.log"))
    }

    pub(crate) fn state_file(&self) -> &Path {
        &self.state_file
    }

    pub(crate) fn state(&self) -> State {
        self.locked().clone()
    }

    /// Changes the state and writes its file.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), StackError> {
        let mut state = self.locked();
        change(&mut state);
        state.write(&self.state_file)
    }

    /// Adds a started process to the state.
    pub(crate) fn started(&self, process: &ProcessRecord) -> Result<(), StackError> {
        self.change(|state| state.processes.push(process.clone()))
    }

    /// Takes an ended process out of the state.
    pub(crate) fn ended(&self, process: &ProcessRecord) -> Result<(), StackError> {
        self.change(|state| state.processes.retain(|other| other != process))
    }

    /// Leaves servers, data and state behind when the claim is dropped: the stack outlives this process.
    pub(crate) fn detach(&self) -> Result<(), StackError> {
        self.change(|state| state.detached = true)?;
        self.keep.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops whatever runs under this name and removes its data and its state.
    fn clear(&self) -> Result<(), StackError> {
        let recorded = State::read(&self.state_file).unwrap_or_default();
        recorded.processes.iter().try_for_each(ProcessRecord::end)?;
        // Also what was started just before a crash and never made it into the state.
        servers_under(&self.data).iter().try_for_each(ProcessRecord::end)?;
        remove_segment(&self.data.join("postgres"));
        remove_dir(&self.data)?;
        remove_dir(&Layout::socket_dir(&self.data))?;
        match fs::remove_file(&self.state_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StackError::file("remove", &self.state_file)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.keep.load(Ordering::Relaxed)
            && let Err(error) = self.clear()
        {
            eprintln!("the stack left something behind: {error}");
        }
        let _ = self.lock.unlock();
    }
}

/// Clears away what dead processes left under any name. Detached stacks stay.
///
/// # Errors
///
/// The first failure; what could be cleared is cleared.
pub(crate) fn clear_abandoned(layout: &Layout) -> Result<(), StackError> {
    let mut outcome = Ok(());
    for name in names(layout) {
        let detached = State::read(&state_file(layout, &name)).is_some_and(|state| state.detached);
        if detached {
            continue;
        }
        // A name in use is not abandoned; any other failure is worth telling, after the rest is done.
        if let Err(error) = clear_name(layout, &name)
            && !matches!(error, StackError::InUse { .. })
        {
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// Stops whatever runs under a name and removes its data. The logs stay.
pub(crate) fn clear_name(layout: &Layout, name: &str) -> Result<(), StackError> {
    check_name(name)?;
    let claim = Claim {
        layout: layout.clone(),
        data: layout.data().join(name),
        logs: layout.logs().join(name),
        state_file: state_file(layout, name),
        state: Mutex::default(),
        keep: AtomicBool::new(true),
        lock: lock(layout, name)?,
    };
    claim.clear()
}

/// Where the state of a stack is written.
pub(crate) fn state_file(layout: &Layout, name: &str) -> PathBuf {
    layout.run().join(format!("{name}.json"))
}

/// Names with a state file or a data folder.
pub(crate) fn names(layout: &Layout) -> Vec<String> {
    let entries = [layout.run(), layout.data()]
        .into_iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let paths = entries.flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<String> = paths
        .filter(|path| path.is_dir() || path.extension() == Some(OsStr::new("json")))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| check_name(name).is_ok())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn check_name(name: &str) -> Result<(), StackError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if (1..=40).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(StackError::Name { name: name.to_owned() })
}

fn lock(layout: &Layout, name: &str) -> Result<File, StackError> {
    let path = layout.run().join(format!("{name}.lock"));
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(StackError::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let state = State::read(&state_file(layout, name));
            let owner = state
                .map(|state| format!(" (pid {})", state.started_by))
                .unwrap_or_default();
            Err(StackError::InUse {
                name: name.to_owned(),
                owner,
            })
        }
        Err(TryLockError::Error(error)) => Err(StackError::file("lock", &path)(error)),
    }
}

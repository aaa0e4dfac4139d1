//! A stack that another process started.

use std::env;
use std::path::Path;
use std::sync::OnceLock;

use super::StackError;
use super::claim::{clear_abandoned, clear_name, names, state_file};
use super::layout::Layout;
use super::state::{KafkaFacts, PostgresFacts, State};
use super::topics::Topics;

/// The variable with the path of the state file; `stack run` sets it for its command.
pub const STATE_VARIABLE: &str = "OUTBOX_RELAY_STACK";
/// The name of the stack of `stack up`.
pub const DETACHED_NAME: &str = "local";
/// The name of the stack of `stack run`; a second one beside it gets a number.
pub const RUN_NAME: &str = "run";

/// How to reach a running stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningStack {
    /// How to reach `PostgreSQL`.
    pub postgres: PostgresFacts,
    /// How to reach Kafka.
    pub kafka: KafkaFacts,
}

impl RunningStack {
    /// Makes, changes and deletes topics.
    pub fn topics(&self) -> Topics {
        Topics::on(&self.kafka.bootstrap_servers, self.kafka.log_files.len())
    }

    fn read(file: &Path) -> Result<RunningStack, StackError> {
        let none = |reason: String| StackError::NoStack { reason };
        let state = State::read(file).ok_or_else(|| none(format!("{} describes none", file.display())))?;
        if let Some(ended) = state.processes.iter().find(|process| !process.is_alive()) {
            return Err(none(format!("its {} (pid {}) has ended", ended.server, ended.pid)));
        }
        match (state.postgres, state.kafka) {
            (Some(postgres), Some(kafka)) if !state.processes.is_empty() => Ok(RunningStack { postgres, kafka }),
            _ => Err(none(format!("{} describes a part of one", file.display()))),
        }
    }
}

/// The stack this process was started with by `stack run`, or else the one of `stack up`.
///
/// # Errors
///
/// [`StackError::NoStack`] when neither is there.
pub fn shared() -> Result<&'static RunningStack, StackError> {
    static SHARED: OnceLock<RunningStack> = OnceLock::new();
    if let Some(running) = SHARED.get() {
        return Ok(running);
    }
    let running = match env::var_os(STATE_VARIABLE) {
        Some(file) => RunningStack::read(Path::new(&file))?,
        None => RunningStack::read(&state_file(&Layout::of_workspace()?, DETACHED_NAME))?,
    };
    Ok(SHARED.get_or_init(|| running))
}

/// The state of every stack of this workspace, running or left behind.
///
/// # Errors
///
/// Those of [`Layout::of_workspace`].
pub fn find() -> Result<Vec<State>, StackError> {
    let layout = Layout::of_workspace()?;
    Ok(names(&layout)
        .iter()
        .filter_map(|name| State::read(&state_file(&layout, name)))
        .collect())
}

/// Stops the stack of this name and removes its data.
///
/// # Errors
///
/// [`StackError::InUse`] while the process that started it is alive and still in charge of it.
pub fn down(name: &str) -> Result<(), StackError> {
    clear_name(&Layout::of_workspace()?, name)
}

/// Stops what killed processes left running, under any name. Stacks of `stack up` stay.
///
/// # Errors
///
/// The first failure, after everything else was tried.
pub fn clear_leftovers() -> Result<(), StackError> {
    clear_abandoned(&Layout::of_workspace()?)
}

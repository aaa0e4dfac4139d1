//! Ctrl-C and SIGTERM, for commands that stop between two steps rather than within one.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, Refusal};

/// From now on neither ends the process by itself.
#[derive(Debug)]
pub(super) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupt {
    pub(super) fn watch() -> Result<Self, Failure> {
        let watch = || {
            Ok::<_, std::io::Error>(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        };
        watch().map_err(|error| Failure::new(Refusal::SystemRefused, error, "try again"))
    }

    /// Waits for either.
    pub(super) async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

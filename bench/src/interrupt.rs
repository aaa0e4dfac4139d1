//! Ctrl-C: whoever waits asks here, gives up with an error, and values are dropped on the way out, which is what stops
//! the servers. A handler that left at once would leave them running.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Whether a signal has asked for the end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to watch for SIGINT, SIGTERM and SIGHUP.
    pub(crate) fn watch() -> Result<Interrupt, Failure> {
        let failed = || Failure::file("listen for the signals of", Path::new("this process"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed())?;
        let guard = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed())?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed())?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed())?;
        drop(guard);
        let asked = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&asked);
        thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    eprintln!("stopping everything that was started");
                    set.store(true, Ordering::Release);
                }
            });
        });
        Ok(Interrupt(asked))
    }

    /// An error once a signal has come.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Acquire) {
            return Err(Failure::Interrupted);
        }
        Ok(())
    }

    /// Sleeps for a moment, or gives up.
    pub(crate) fn pass(&self, wait: Duration) -> Result<(), Failure> {
        self.check()?;
        thread::sleep(wait);
        self.check()
    }
}

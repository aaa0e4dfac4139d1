//! The signals that stop the demo, counted: the first asks for an orderly end, the second for a quick one.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the demo was asked to stop.
#[derive(Debug, Clone)]
pub(super) struct Signals(watch::Receiver<u32>);

impl Signals {
    /// From now on SIGINT, SIGTERM and SIGHUP no longer end the process by themselves.
    pub(super) fn watch() -> io::Result<Signals> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let (sender, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Signals(receiver))
    }

    /// Waits for this number of signals since the start.
    pub(super) async fn reached(&mut self, count: u32) {
        // The sender lives as long as the runtime.
        let _ = self.0.wait_for(|seen| *seen >= count).await;
    }
}

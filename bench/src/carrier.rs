//! Whatever carries rows from a slot to a topic: the relay, or another that it is compared with.

use crate::child::Child;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::relay::Relay;

/// How to start and stop what is measured.
pub(crate) trait Carrier {
    /// What results and complaints call it.
    fn name(&self) -> &str;

    /// Starts it on a slot that exists.
    fn start(&self, slot: &str) -> Result<Child, Failure>;

    /// Stops it; everything that it has sent is in the topic then.
    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure>;

    /// Where `/metrics` shows the relay's own histogram, commit to acknowledgement.
    fn admin_port(&self) -> Option<u16> {
        None
    }
}

impl Carrier for Relay {
    fn name(&self) -> &'static str {
        "the relay"
    }

    fn start(&self, slot: &str) -> Result<Child, Failure> {
        self.run(slot, &[])
    }

    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        Relay::stop(running, interrupt)
    }

    fn admin_port(&self) -> Option<u16> {
        Some(Relay::admin_port(self))
    }
}

/// The relay with some keys of its configuration on top, and a name that says so.
pub(crate) struct Configured<'i> {
    pub(crate) name: &'static str,
    pub(crate) relay: &'i Relay,
    pub(crate) settings: &'i [String],
}

impl Carrier for Configured<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self, slot: &str) -> Result<Child, Failure> {
        self.relay.run(slot, self.settings)
    }

    fn stop(&self, running: Child, interrupt: &Interrupt) -> Result<(), Failure> {
        Relay::stop(running, interrupt)
    }
}

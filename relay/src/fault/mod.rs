//! What stands in the way, in words for the person who is called.

mod catalogue;
pub mod policy;

pub use catalogue::{Entry, FaultCode, SECTIONS};

/// How a fault is dealt with. Whatever is not known is [`FaultKind::Transient`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Passes by itself: tried again for ever, with backoff.
    Transient,
    /// Another relay does the work: this one waits for its turn.
    Standby,
    /// Somebody has to change something outside: the line halts and is tried again slowly, for ever.
    Environment,
    /// This one event can never be accepted as it is: the line halts at it.
    EventDefect,
}

/// Something that keeps events from flowing: what and why in `message`, what to do next in `hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub code: FaultCode,
    /// What happened, and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl Fault {
    /// The fault of the case at hand.
    pub fn new(code: FaultCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// How it is dealt with.
    pub const fn kind(&self) -> FaultKind {
        self.code.kind()
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)
    }
}

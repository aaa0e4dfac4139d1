//! What stands in the way, in words for the person who is called.

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
    /// How it is dealt with.
    pub kind: FaultKind,
    /// Its name, one of a bounded set: a metric label, and the anchor of its documentation.
    pub code: &'static str,
    /// What happened, and why.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl Fault {
    /// One that passes by itself.
    pub fn transient(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Transient,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Another relay's turn.
    pub fn standby(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Standby,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// One that needs somebody.
    pub fn environment(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Environment,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// One event that can never be accepted.
    pub fn event_defect(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::EventDefect,
            code,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)
    }
}

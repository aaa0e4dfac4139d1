//! Whatever comes from outside, given to the code that reads it. A target panics when the code does, or when what it says
//! contradicts itself.
//!
//! `corpus/` holds inputs that reach far into the code, and every input that ever broke it; `tests/corpus.rs` replays
//! them.

mod targets;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("frames", targets::frames::run),
    ("message", targets::message::run),
    ("sequence", targets::sequence::run),
    ("metadata", targets::metadata::run),
    ("pipeline", targets::pipeline::run),
    ("login", targets::login::run),
    ("config", targets::config::run),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, target)| target)
}

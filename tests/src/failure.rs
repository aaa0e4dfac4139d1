//! Why a scenario stopped: one message with the place in the code where it came from.

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// Anything that ends a scenario before its end. Shown as text, so that logs inside it stay readable.
pub struct Failure {
    what: String,
    place: &'static Location<'static>,
}

/// What a scenario and its helpers return.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure in one's own words.
    #[track_caller]
    pub fn new(what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            place: Location::caller(),
        }
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Failure {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        Failure::new(what)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.place)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fails with a message unless the condition holds.
#[track_caller]
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::new(otherwise())) }
}

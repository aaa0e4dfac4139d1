//! Bytes of a header, a key or a payload: borrowed where the wire has them as they are, rendered in place where not.

use std::fmt::{self, Write};

/// Long enough for every fixed-width rendering: a uuid, a position, a derived key.
const INLINE_BYTES: usize = 48;

/// A value as it goes into a Kafka record.
#[derive(Clone)]
pub enum Text<'a> {
    /// The wire's own bytes.
    Wire(&'a [u8]),
    /// A short rendering, without an allocation.
    Inline {
        /// The bytes; those beyond `length` mean nothing.
        bytes: [u8; INLINE_BYTES],
        /// How many of them count.
        length: usize,
    },
    /// A rendering that has no bound. Rare: only a `bytea` in text form needs it.
    Owned(Vec<u8>),
}

impl Text<'_> {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Wire(bytes) => bytes,
            Self::Inline { bytes, length } => &bytes[..*length],
            Self::Owned(bytes) => bytes,
        }
    }

    /// Renders at most [`INLINE_BYTES`] bytes; a longer rendering is a mistake of this crate.
    pub(crate) fn inline(rendered: fmt::Arguments<'_>) -> Text<'static> {
        let mut short = Short {
            bytes: [0; INLINE_BYTES],
            length: 0,
        };
        let fitted = short.write_fmt(rendered);
        assert!(fitted.is_ok(), "a rendering was longer than {INLINE_BYTES} bytes");
        Text::Inline {
            bytes: short.bytes,
            length: short.length,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text<'_> {}

struct Short {
    bytes: [u8; INLINE_BYTES],
    length: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes
            .get_mut(self.length..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

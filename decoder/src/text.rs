//! Bytes of a header, a key or a payload: borrowed where the wire has them as they are, rendered in place where not.

use std::fmt;

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

/// Builds an inline text. `core::fmt` is a quarter of the time of a row; hexadecimal digits need no formatter.
pub(crate) struct Inline {
    bytes: [u8; INLINE_BYTES],
    length: usize,
}

impl Inline {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; INLINE_BYTES],
            length: 0,
        }
    }

    /// # Panics
    /// The rendering is longer than [`INLINE_BYTES`]: a mistake of this crate.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The lowest `DIGITS` digits of a number, in hexadecimal, from `alphabet`.
    pub(crate) fn hex<const DIGITS: usize>(&mut self, mut number: u64, alphabet: &[u8; 16]) {
        let mut digits = [0; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = alphabet[(number & 0xF) as usize];
            number >>= 4;
        }
        self.bytes(&digits);
    }

    pub(crate) fn decimal(&mut self, mut number: u64) {
        const LONGEST: usize = u64::MAX.ilog10() as usize + 1;
        let mut digits = [0; LONGEST];
        let mut first = LONGEST;
        loop {
            first -= 1;
            // By a constant, which is no division: a scale that goes down was most of the time of a row.
            digits[first] = DIGITS_UPPER[(number % 10) as usize];
            number /= 10;
            if number == 0 {
                return self.bytes(&digits[first..]);
            }
        }
    }

    pub(crate) const fn finish(self) -> Text<'static> {
        Text::Inline {
            bytes: self.bytes,
            length: self.length,
        }
    }
}

pub(crate) const DIGITS_UPPER: &[u8; 16] = b"0123456789ABCDEF";
pub(crate) const DIGITS_LOWER: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_render_as_the_formatter_would() {
        for number in [0, 7, 10, 99, 4_294_967_295, u64::MAX] {
            let mut text = Inline::new();
            text.hex::<16>(number, DIGITS_LOWER);
            text.byte(b'-');
            text.decimal(number);
            assert_eq!(text.finish().as_bytes(), format!("{number:016x}-{number}").as_bytes());
        }
    }
}

//! Reading big-endian integers and strings from a body, without a panic on any input.

use crate::{DecodeError, Lsn, Timestamp};

/// What is left of a message body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(body: &'a [u8], message: &'static str) -> Self {
        Self { rest: body, message }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.truncated(length))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.truncated(N))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// `wanted` is more than is left.
    const fn truncated(&self, wanted: usize) -> DecodeError {
        DecodeError::Truncated {
            message: self.message,
            missing: wanted - self.rest.len(),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        Ok(Lsn::new(u64::from_be_bytes(self.array()?)))
    }

    pub(crate) fn timestamp(&mut self) -> Result<Timestamp, DecodeError> {
        Ok(Timestamp::from_postgres_us(i64::from_be_bytes(self.array()?)))
    }

    /// A length that the wire sends as a signed number.
    pub(crate) fn length(&mut self) -> Result<usize, DecodeError> {
        let length = self.i32()?;
        usize::try_from(length).map_err(|_| DecodeError::NegativeLength {
            message: self.message,
            length,
        })
    }

    /// A NUL-terminated name.
    pub(crate) fn cstr(&mut self) -> Result<&'a str, DecodeError> {
        let end = self
            .rest
            .iter()
            .position(|&byte| byte == 0)
            .ok_or(DecodeError::Truncated {
                message: self.message,
                missing: 1,
            })?;
        let name = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(name).map_err(|_| DecodeError::NameNotUtf8 { message: self.message })
    }

    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Ends the message: bytes that nobody asked for mean that it was misread.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            surplus => Err(DecodeError::Surplus {
                message: self.message,
                surplus,
            }),
        }
    }
}

//! Watches what a server sends to the driver of the control connection, which would give a password in the clear to
//! whoever asks for it, and allocates as much as a frame claims to have.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::PasswordMethods;

/// Answers to the relay's own questions are small.
pub(super) const ANSWER_BYTES_MAX: u32 = 16 * 1024 * 1024;
const AUTHENTICATION: u8 = b'R';
const CLEARTEXT: u32 = 3;
const MD5: u32 = 5;
/// Tag, length, and the kind of an authentication request.
const HEAD_BYTES: usize = 9;

/// What the server must not do. Its text is what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Forbidden {
    /// A password in the clear is not allowed by name.
    #[error("the server asks for cleartext password authentication")]
    Cleartext,
    /// A password hashed with MD5 is not allowed by name.
    #[error("the server asks for md5 authentication")]
    Md5,
    /// A frame is larger than any answer can be.
    #[error("the server announces a message of {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// What it claims to have.
        bytes: u32,
        /// The bound.
        bytes_max: u32,
    },
}

/// Follows the frames of a server, byte by byte.
#[derive(Debug)]
struct Watch {
    allowed: PasswordMethods,
    bytes_max: u32,
    head: [u8; HEAD_BYTES],
    filled: usize,
    /// What is left of the frame whose head is known.
    rest: usize,
}

impl Watch {
    const fn new(allowed: PasswordMethods, bytes_max: u32) -> Self {
        Self {
            allowed,
            bytes_max,
            head: [0; HEAD_BYTES],
            filled: 0,
            rest: 0,
        }
    }

    fn see(&mut self, mut bytes: &[u8]) -> Result<(), Forbidden> {
        while let Some((&byte, others)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.filled] = byte;
            self.filled += 1;
            bytes = others;
            self.judge()?;
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<(), Forbidden> {
        if self.filled < 5 {
            return Ok(());
        }
        let [tag, a, b, c, d, kind @ ..] = self.head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > self.bytes_max {
            return Err(Forbidden::TooLarge {
                bytes: length,
                bytes_max: self.bytes_max,
            });
        }
        let is_authentication = tag == AUTHENTICATION && length >= 8;
        if is_authentication && self.filled < HEAD_BYTES {
            return Ok(());
        }
        if is_authentication {
            match u32::from_be_bytes(kind) {
                CLEARTEXT if !self.allowed.cleartext => return Err(Forbidden::Cleartext),
                MD5 if !self.allowed.md5 => return Err(Forbidden::Md5),
                _ => {}
            }
        }
        // The length counts itself and not the tag.
        self.rest = (length as usize + 1).saturating_sub(self.filled);
        self.filled = 0;
        Ok(())
    }
}

/// A stream that ends with an error at the first forbidden byte, before the driver sees it.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    watch: Watch,
}

impl<S> Guarded<S> {
    pub(super) const fn new(stream: S, allowed: PasswordMethods, bytes_max: u32) -> Self {
        Self {
            stream,
            watch: Watch::new(allowed, bytes_max),
        }
    }

    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let seen = self.watch.see(&buffer.filled()[before..]);
        Poll::Ready(seen.map_err(|forbidden| {
            buffer.set_filled(before);
            io::Error::other(forbidden)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: PasswordMethods = PasswordMethods {
        md5: false,
        cleartext: false,
    };

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    /// In one piece and byte by byte.
    fn seen(allowed: PasswordMethods, frames: &[Vec<u8>]) -> Result<(), Forbidden> {
        let bytes = frames.concat();
        let whole = Watch::new(allowed, ANSWER_BYTES_MAX).see(&bytes);
        let mut watch = Watch::new(allowed, ANSWER_BYTES_MAX);
        assert_eq!(whole, bytes.chunks(1).try_for_each(|byte| watch.see(byte)));
        whole
    }

    #[test]
    fn a_password_in_the_clear_or_hashed_with_md5_is_given_only_where_that_is_allowed() {
        let notice = frame(b'N', b"R\0\0\0\x08\0\0\0\x03");
        let cleartext = frame(b'R', &3_u32.to_be_bytes());
        let md5 = frame(b'R', &[&5_u32.to_be_bytes()[..], b"salt"].concat());
        assert_eq!(seen(NONE, std::slice::from_ref(&notice)), Ok(()));
        assert_eq!(
            seen(NONE, &[notice.clone(), cleartext.clone()]),
            Err(Forbidden::Cleartext)
        );
        assert_eq!(seen(NONE, &[notice, md5.clone()]), Err(Forbidden::Md5));
        let all = PasswordMethods {
            md5: true,
            cleartext: true,
        };
        assert_eq!(seen(all, &[cleartext, md5]), Ok(()));
    }

    #[test]
    fn what_a_server_sends_otherwise_passes() {
        let ok = frame(b'R', &0_u32.to_be_bytes());
        let sasl = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(
            seen(NONE, &[sasl, ok, frame(b'Z', b"I"), frame(b'D', &[3; 100])]),
            Ok(())
        );
    }

    #[test]
    fn a_frame_that_claims_too_much_is_refused_at_its_head() {
        let claim = [b'D', 0x7f, 0xff, 0xff, 0xff];
        let refused = Watch::new(NONE, ANSWER_BYTES_MAX).see(&claim);
        assert!(matches!(refused, Err(Forbidden::TooLarge { bytes: 0x7fff_ffff, .. })));
        assert_eq!(Watch::new(NONE, u32::MAX).see(&claim), Ok(()));
    }
}

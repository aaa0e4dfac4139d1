//! Frames of the backend protocol, and the replication messages inside CopyData.
//!
//! Source: PostgreSQL documentation, "Message Formats" and "Streaming Replication Protocol".

use crate::wire::Reader;
use crate::{DecodeError, Lsn, Timestamp};

/// Tag of a CopyData frame: the only kind that carries the stream.
pub const COPY_DATA: u8 = b'd';

const HEADER_BYTES: usize = 5;

/// One frame as the server sent it: a tag and a body, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Kind of the frame.
    pub tag: u8,
    /// What it carries.
    pub body: &'a [u8],
    /// Bytes of the whole frame, header included: how far the buffer moves on.
    pub bytes: usize,
}

/// Cuts the first frame from a buffer. `None` means that more bytes are needed.
///
/// # Errors
/// A length that cannot be, or one above `bytes_max`: known from the header, before anything is allocated for it.
pub fn split_frame(buffer: &[u8], bytes_max: usize) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(bytes) = frame_bytes(buffer, bytes_max)? else {
        return Ok(None);
    };
    let body = buffer.get(HEADER_BYTES..bytes);
    Ok(buffer.first().zip(body).map(|(&tag, body)| Frame { tag, body, bytes }))
}

/// How many bytes the first frame has, as soon as its header is there.
///
/// # Errors
/// As [`split_frame`].
pub fn frame_bytes(buffer: &[u8], bytes_max: usize) -> Result<Option<usize>, DecodeError> {
    let Some((&[_, a, b, c, d], _)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    let bytes = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(1))
        .unwrap_or(usize::MAX);
    if bytes < HEADER_BYTES {
        return Err(DecodeError::FrameLength { length });
    }
    if bytes > bytes_max {
        return Err(DecodeError::FrameTooLarge { bytes, bytes_max });
    }
    Ok(Some(bytes))
}

/// A message of the streaming replication protocol: the body of a CopyData frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMessage<'a> {
    /// A message of the output plugin. Its header's LSNs are 0/0 for some messages and are not kept: progress comes
    /// from commits and keepalives alone.
    XLogData(&'a [u8]),
    /// The server is alive and has sent everything before `wal_end`.
    Keepalive {
        /// The server's send position.
        wal_end: Lsn,
        /// The server's clock.
        sent_at: Timestamp,
        /// The server wants a status update at once, or it gives the connection up.
        reply_requested: bool,
    },
}

impl<'a> StreamMessage<'a> {
    /// Reads the body of a CopyData frame.
    ///
    /// # Errors
    /// Bytes that are neither of the two messages.
    pub fn parse(body: &'a [u8]) -> Result<Self, DecodeError> {
        match body.split_first() {
            Some((b'w', rest)) => {
                let mut reader = Reader::new(rest, "XLogData");
                reader.take(24)?;
                Ok(Self::XLogData(reader.rest()))
            }
            Some((b'k', rest)) => {
                let mut reader = Reader::new(rest, "keepalive");
                let (wal_end, sent_at) = (reader.lsn()?, reader.timestamp()?);
                let reply_requested = reader.u8()? != 0;
                reader.end()?;
                Ok(Self::Keepalive {
                    wal_end,
                    sent_at,
                    reply_requested,
                })
            }
            Some((&byte, _)) => Err(DecodeError::UnknownByte {
                message: "CopyData",
                what: "message kind",
                byte,
            }),
            None => Err(DecodeError::Truncated {
                message: "CopyData",
                missing: 1,
            }),
        }
    }
}

/// What the relay tells the server of its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusUpdate {
    /// Everything received. Keeping it up to date stops needless keepalives.
    pub written: Lsn,
    /// Everything durable in Kafka. This one alone moves the slot.
    pub flushed: Lsn,
    /// The relay's clock.
    pub sent_at: Timestamp,
    /// Ask for a keepalive in return.
    pub reply_requested: bool,
}

impl StatusUpdate {
    /// The body of the CopyData frame that carries it.
    pub fn encode(&self) -> [u8; 34] {
        let mut body = [0; 34];
        body[0] = b'r';
        body[1..9].copy_from_slice(&self.written.as_u64().to_be_bytes());
        body[9..17].copy_from_slice(&self.flushed.as_u64().to_be_bytes());
        body[17..25].copy_from_slice(&self.flushed.as_u64().to_be_bytes());
        body[25..33].copy_from_slice(&self.sent_at.as_postgres_us().to_be_bytes());
        body[33] = u8::from(self.reply_requested);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_only_when_it_is_whole() {
        let bytes = [b'd', 0, 0, 0, 6, 1, 2, b'Z'];
        for end in 0..7 {
            assert_eq!(split_frame(&bytes[..end], 100), Ok(None), "with {end} bytes");
        }
        assert_eq!(
            split_frame(&bytes, 100),
            Ok(Some(Frame {
                tag: b'd',
                body: &[1, 2],
                bytes: 7
            }))
        );
    }

    #[test]
    fn a_frame_above_the_bound_is_refused_from_its_header_alone() {
        let header = [b'd', 0, 0, 1, 0];
        assert_eq!(
            split_frame(&header, 256),
            Err(DecodeError::FrameTooLarge {
                bytes: 257,
                bytes_max: 256
            })
        );
        assert_eq!(split_frame(&header, 257), Ok(None));
    }

    #[test]
    fn a_frame_shorter_than_its_own_length_field_is_refused() {
        assert_eq!(
            split_frame(&[b'd', 0, 0, 0, 3, 0], 100),
            Err(DecodeError::FrameLength { length: 3 })
        );
    }

    #[test]
    fn a_status_update_has_the_layout_that_the_server_reads() {
        let update = StatusUpdate {
            written: Lsn::new(0x0102),
            flushed: Lsn::new(0x0304),
            sent_at: Timestamp::from_postgres_us(5),
            reply_requested: true,
        };
        let mut expected = vec![b'r'];
        for number in [0x0102_u64, 0x0304, 0x0304, 5] {
            expected.extend(number.to_be_bytes());
        }
        expected.push(1);
        assert_eq!(update.encode().as_slice(), expected);
    }

    #[test]
    fn a_keepalive_is_read_and_one_with_a_surplus_byte_is_refused() {
        let mut body = vec![b'k'];
        body.extend(0x10_u64.to_be_bytes());
        body.extend(7_i64.to_be_bytes());
        body.push(1);
        let keepalive = StreamMessage::Keepalive {
            wal_end: Lsn::new(0x10),
            sent_at: Timestamp::from_postgres_us(7),
            reply_requested: true,
        };
        assert_eq!(StreamMessage::parse(&body), Ok(keepalive));
        body.push(0);
        assert_eq!(
            StreamMessage::parse(&body),
            Err(DecodeError::Surplus {
                message: "keepalive",
                surplus: 1
            })
        );
    }
}

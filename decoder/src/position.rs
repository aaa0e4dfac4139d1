//! Where a row and a commit stand in the stream.

use crate::text::{DIGITS_UPPER, Inline, Text};
use crate::{DecodeError, Lsn};

/// The place of one row: unique over the life of a database cluster's timeline, and ordered as the rows were
/// committed and inserted.
///
/// A row's own LSN is not unique (`COPY` gives many rows the same one), therefore the commit and the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Start of the transaction's commit record: Begin's `final_lsn`.
    pub commit_lsn: Lsn,
    /// How many outbox rows of the same transaction came before this one.
    pub ordinal: u32,
    /// Transaction id, for people who look for the transaction in other logs.
    pub xid: u32,
}

impl Position {
    /// The `position` header: `<commit LSN, 16 hex digits>-<ordinal, 8 hex digits>-<xid>`.
    ///
    /// The first two parts have a fixed width, so that comparing the text compares the positions.
    pub fn header(&self) -> Text<'static> {
        let mut text = Inline::new();
        text.hex::<16>(self.commit_lsn.as_u64(), DIGITS_UPPER);
        text.byte(b'-');
        text.hex::<8>(u64::from(self.ordinal), DIGITS_UPPER);
        text.byte(b'-');
        text.decimal(u64::from(self.xid));
        text.finish()
    }

    /// Reads what [`Position::header`] wrote.
    pub fn from_header(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (commit_lsn, ordinal, xid) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            commit_lsn: Lsn::new(u64::from_str_radix(commit_lsn, 16).ok()?),
            ordinal: u32::from_str_radix(ordinal, 16).ok()?,
            xid: xid.parse().ok()?,
        })
    }
}

/// The two ends of a transaction's commit record.
///
/// Only `end_lsn` may ever be confirmed: confirming `commit_lsn` delivers the transaction again after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitPosition {
    commit_lsn: Lsn,
    end_lsn: Lsn,
}

impl CommitPosition {
    /// # Errors
    /// A commit record that ends before it starts is not something PostgreSQL writes.
    pub fn new(commit_lsn: Lsn, end_lsn: Lsn) -> Result<Self, DecodeError> {
        if end_lsn <= commit_lsn {
            return Err(DecodeError::CommitEndsBeforeItStarts { commit_lsn, end_lsn });
        }
        Ok(Self { commit_lsn, end_lsn })
    }

    /// Start of the commit record; equals Begin's `final_lsn`.
    pub const fn commit_lsn(self) -> Lsn {
        self.commit_lsn
    }

    /// Start of whatever follows the commit record: what is confirmed.
    pub const fn end_lsn(self) -> Lsn {
        self.end_lsn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_headers_compare_as_text_the_way_positions_do() {
        let at = |lsn, ordinal| Position {
            commit_lsn: Lsn::new(lsn),
            ordinal,
            xid: 7,
        };
        let ordered = [
            at(0xFF, 1),
            at(0x100, 0),
            at(0x100, 9),
            at(0x100, 16),
            at(0x1_0000_0000, 0),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[0].header().as_bytes() < pair[1].header().as_bytes(), "{pair:?}");
        }
        assert_eq!(at(0x016B_3748, 3).header().as_bytes(), b"00000000016B3748-00000003-7");
        let read = |text| Position::from_header(text);
        assert_eq!(read("00000000016B3748-0000000A-7"), Some(at(0x016B_3748, 10)));
        for wrong in ["", "016B3748-3", "x-3-7", "00000000016B3748-00000003-7-1"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_commit_that_ends_before_it_starts_is_refused() {
        assert!(CommitPosition::new(Lsn::new(10), Lsn::new(10)).is_err());
        assert_eq!(
            CommitPosition::new(Lsn::new(10), Lsn::new(11)).map(CommitPosition::end_lsn),
            Ok(Lsn::new(11))
        );
    }
}

//! Since when rows are looked through.

use outbox_decoder::Timestamp;

use super::situation::Situation;

/// Rows of a transaction that was open for less than this count by when they were written, not by when they committed.
pub(super) const MARGIN_US: i64 = 3_600_000_000;

/// A time, and whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) at: Timestamp,
    pub(super) said_by: SaidBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SaidBy {
    /// `--since`.
    Operator,
    /// A recovery that did not reach its end.
    Unfinished,
    /// What the last relay noted of itself.
    LastRelay,
}

impl SaidBy {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Operator => "--since",
            Self::Unfinished => "the recovery that did not reach its end",
            Self::LastRelay => "what the last relay knew, and a margin",
        }
    }
}

impl Since {
    /// What is known without looking at the tables; for the last relay, when it noted what it knew.
    pub(super) fn known(asked: Option<Timestamp>, situation: &Situation) -> Option<Self> {
        let unfinished = situation.unfinished.as_ref().map(|unfinished| unfinished.since);
        let noted = situation.known.as_ref().map(|known| known.written_at);
        match (asked, unfinished, noted) {
            // What was to be looked through stays to be looked through.
            (Some(asked), Some(unfinished), _) if unfinished < asked => Some(Self::by(SaidBy::Unfinished, unfinished)),
            (Some(asked), ..) => Some(Self::by(SaidBy::Operator, asked)),
            (None, Some(unfinished), _) => Some(Self::by(SaidBy::Unfinished, unfinished)),
            (None, None, noted) => noted.map(|noted| Self::by(SaidBy::LastRelay, noted)),
        }
    }

    const fn by(said_by: SaidBy, at: Timestamp) -> Self {
        Self { at, said_by }
    }
}

/// A margin earlier.
pub(super) const fn earlier(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_us(at.as_unix_us().saturating_sub(MARGIN_US))
}

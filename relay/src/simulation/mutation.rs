//! Bugs that are planted on purpose, each of which somebody in this field has had. If the simulation does not find one of
//! them, it proves nothing.

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Confirms whatever was received.
    ConfirmsEarly,
    /// Confirms the start of a commit and not its end.
    ConfirmsCommitStart,
    /// A keepalive passes records in flight.
    KeepalivePassesInFlight,
    /// The newest acknowledgement counts, whatever is older.
    ConfirmsByArrival,
    /// What is purged counts as sent.
    DropsWhatWasPurged,
    /// What failed is sent again newest first.
    ResendsNewestFirst,
    /// The producer goes on with later batches after a failed one.
    GoesOnAfterFailure,
    /// Batches go out behind each other to brokers that do not know the producer.
    IsNotIntroduced,
    /// A position of an earlier connection is confirmed on this one.
    ConfirmsAcrossConnections,
    /// A row counts as set aside when its letter was asked for.
    LetterCountsBeforeItsCommit,
    /// An event whose delivery is to be noted counts when the note was taken.
    NoteCountsBeforeItsCommit,
    /// What is confirmed passes a letter that a failover can still lose.
    PassesLetterBeforeTheStream,
    /// A relay that is gone writes a letter when the next one has begun. Too rare for the seeds of a test: one is named.
    WritesLettersForOthers,
    /// A new process does not know which keys are parked.
    ForgetsParkedKeys,
    /// A new process does not know which rows have letters.
    ForgetsLetters,
    /// What comes behind a record that is given up is sent on.
    LeavesFollowersOnTheirWay,
}

impl Mutation {
    /// Those that any few thousand seeds find.
    pub(super) const ALL: [Self; 15] = [
        Self::ConfirmsEarly,
        Self::ConfirmsCommitStart,
        Self::KeepalivePassesInFlight,
        Self::ConfirmsByArrival,
        Self::DropsWhatWasPurged,
        Self::ResendsNewestFirst,
        Self::GoesOnAfterFailure,
        Self::IsNotIntroduced,
        Self::ConfirmsAcrossConnections,
        Self::LetterCountsBeforeItsCommit,
        Self::NoteCountsBeforeItsCommit,
        Self::PassesLetterBeforeTheStream,
        Self::ForgetsParkedKeys,
        Self::ForgetsLetters,
        Self::LeavesFollowersOnTheirWay,
    ];

    /// How the judge may begin when it finds this.
    pub(super) const fn shows_as(self) -> &'static [&'static str] {
        match self {
            Self::ConfirmsEarly
            | Self::KeepalivePassesInFlight
            | Self::ConfirmsByArrival
            | Self::PassesLetterBeforeTheStream => &["unsafe checkpoint"],
            Self::ConfirmsCommitStart => &["needless repeat"],
            Self::DropsWhatWasPurged | Self::LetterCountsBeforeItsCommit => &["unsafe checkpoint", "lost"],
            Self::ResendsNewestFirst
            | Self::GoesOnAfterFailure
            | Self::IsNotIntroduced
            | Self::ForgetsParkedKeys
            | Self::LeavesFollowersOnTheirWay => &["reordered"],
            Self::NoteCountsBeforeItsCommit => &["untold"],
            Self::ForgetsLetters | Self::WritesLettersForOthers => &["undead"],
            Self::ConfirmsAcrossConnections => &["unsafe checkpoint", "confirmed above"],
        }
    }
}

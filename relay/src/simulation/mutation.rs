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
}

impl Mutation {
    pub(super) const ALL: [Self; 9] = [
        Self::ConfirmsEarly,
        Self::ConfirmsCommitStart,
        Self::KeepalivePassesInFlight,
        Self::ConfirmsByArrival,
        Self::DropsWhatWasPurged,
        Self::ResendsNewestFirst,
        Self::GoesOnAfterFailure,
        Self::IsNotIntroduced,
        Self::ConfirmsAcrossConnections,
    ];

    /// How the judge may begin when it finds this.
    pub(super) const fn shows_as(self) -> &'static [&'static str] {
        match self {
            Self::ConfirmsEarly | Self::KeepalivePassesInFlight | Self::ConfirmsByArrival => &["unsafe checkpoint"],
            Self::ConfirmsCommitStart => &["needless repeat"],
            Self::DropsWhatWasPurged => &["unsafe checkpoint", "lost"],
            Self::ResendsNewestFirst | Self::GoesOnAfterFailure | Self::IsNotIntroduced => &["reordered"],
            Self::ConfirmsAcrossConnections => &["unsafe checkpoint", "confirmed above"],
        }
    }
}

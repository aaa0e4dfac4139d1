//! Whether acknowledgements make progress. librdkafka tries again for ever what passes by itself, and says nothing
//! meanwhile.

use std::time::{Duration, Instant};

use crate::pipeline::Ticket;

/// Without an acknowledgement of the oldest record for so long, the brokers are named as what is waited for.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// The oldest record in flight, and since when it is that.
#[derive(Debug, Default)]
pub(super) struct Stall(Option<(Ticket, Instant)>);

impl Stall {
    /// Whether the record that is waited for has been the same for too long.
    pub(super) fn is_stalled(&mut self, waited_for: Option<Ticket>, now: Instant) -> bool {
        let since = match self.0 {
            Some((known, since)) if waited_for == Some(known) => since,
            _ => now,
        };
        self.0 = waited_for.map(|ticket| (ticket, since));
        self.0.is_some() && now.duration_since(since) >= STALLED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::policy;
    use crate::kafka::reports::Brokers;

    #[test]
    fn only_the_same_record_for_too_long_is_a_stall() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let (first, second) = (Ticket::from_u64(1), Ticket::from_u64(2));
        assert!(!stall.is_stalled(Some(first), start));
        assert!(!stall.is_stalled(Some(second), start + STALLED_AFTER));
        assert!(!stall.is_stalled(Some(second), start + STALLED_AFTER + Duration::from_secs(29)));
        assert!(stall.is_stalled(Some(second), start + STALLED_AFTER * 2));
        assert!(!stall.is_stalled(None, start + STALLED_AFTER * 3));
        assert!(!stall.is_stalled(Some(second), start + STALLED_AFTER * 3));
    }

    #[test]
    fn a_doubt_about_the_brokers_is_time_in_which_they_could_have_answered_and_their_absence_is_none() {
        let fault = policy::unreachable(None);
        let (doubted, away) = (Brokers::Suspect(fault.clone()), Brokers::Down(fault));
        let is_stalled_after = |between: &Brokers| {
            let (mut stall, start) = (Stall::default(), Instant::now());
            let waited_for = |brokers: &Brokers| Some(Ticket::from_u64(1)).filter(|_| brokers.could_acknowledge());
            stall.is_stalled(waited_for(&Brokers::Up), start);
            stall.is_stalled(waited_for(between), start + STALLED_AFTER / 2);
            stall.is_stalled(waited_for(&Brokers::Up), start + STALLED_AFTER)
        };
        assert!(is_stalled_after(&doubted));
        assert!(!is_stalled_after(&away));
        assert!(!is_stalled_after(&Brokers::Unknown));
    }
}

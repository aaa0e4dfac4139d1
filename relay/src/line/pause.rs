//! What people are told of a relay that somebody has paused: how long the server can keep its WAL.

use std::time::Instant;

use crate::fault::{Fault, FaultCode};
use crate::size::size;
use crate::telemetry::SlotFigures;

/// How fast WAL is written, from two looks at the slot.
#[derive(Debug, Default)]
pub(super) struct WalRate {
    before: Option<(Instant, f64)>,
    bytes_per_s: Option<f64>,
    safe_bytes: Option<f64>,
}

impl WalRate {
    /// The slot was looked at.
    pub(super) fn look(&mut self, figures: &SlotFigures, now: Instant) {
        self.safe_bytes = figures.safe_wal_bytes;
        if let Some((at, lag_bytes)) = self.before
            && now > at
        {
            // Of a relay that is paused, the lag grows by what is written.
            let written = (figures.lag_bytes - lag_bytes).max(0.0);
            self.bytes_per_s = Some(written / now.duration_since(at).as_secs_f64());
        }
        self.before = Some((now, figures.lag_bytes));
    }

    /// What is known of how long that can last.
    fn budget(&self) -> String {
        match (self.safe_bytes, self.bytes_per_s) {
            (None, Some(rate)) => format!(
                "the server keeps its WAL without a limit (max_slot_wal_keep_size = -1), {} more each hour",
                size(rate * 3600.0)
            ),
            (Some(safe), Some(rate)) if rate >= 1.0 => format!(
                "the slot is lost after {} more WAL, in about {} at the present rate",
                size(safe),
                duration(safe / rate)
            ),
            (Some(safe), _) => format!("the slot is lost after {} more WAL", size(safe)),
            (None, None) => "the server keeps its WAL".to_owned(),
        }
    }

    /// The state of a relay that is paused.
    pub(super) fn fault(&self, why: &str) -> Fault {
        Fault::new(
            FaultCode::RelayPaused,
            format!("the relay is paused ({why}); {}", self.budget()),
            "`outbox-relay resume` lets it go on",
        )
    }
}

fn duration(seconds: f64) -> String {
    if seconds >= 2.0 * 86_400.0 {
        format!("{:.0} days", seconds / 86_400.0)
    } else if seconds >= 2.0 * 3600.0 {
        format!("{:.0} hours", seconds / 3600.0)
    } else {
        format!("{:.0} minutes", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn figures(lag_mib: f64, safe_mib: Option<f64>) -> SlotFigures {
        SlotFigures {
            lag_bytes: lag_mib * 1024.0 * 1024.0,
            safe_wal_bytes: safe_mib.map(|mib| mib * 1024.0 * 1024.0),
            ..SlotFigures::default()
        }
    }

    #[test]
    fn a_paused_relay_says_how_long_the_wal_budget_lasts_at_the_present_rate() {
        let (mut rate, start) = (WalRate::default(), Instant::now());
        rate.look(&figures(10.0, Some(700.0)), start);
        assert!(rate.fault("audit").message.contains("lost after 700.0 MiB more WAL"));
        rate.look(&figures(20.0, Some(600.0)), start + Duration::from_secs(10));
        let message = rate.fault("audit").message;
        assert!(
            message.contains("(audit)") && message.contains("in about 10 minutes"),
            "{message}"
        );
    }

    #[test]
    fn without_a_limit_it_says_what_the_server_will_have_to_keep() {
        let (mut rate, start) = (WalRate::default(), Instant::now());
        rate.look(&figures(0.0, None), start);
        rate.look(&figures(1.0, None), start + Duration::from_secs(1));
        let message = rate.fault("audit").message;
        assert!(
            message.contains("without a limit") && message.contains("3.5 GiB more each hour"),
            "{message}"
        );
    }
}

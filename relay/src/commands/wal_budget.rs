//! How long a slot that does not move can keep its WAL.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Failure;
use super::moment::stretch;
use super::operation::Operation;
use crate::postgres::slot_figures;
use crate::size::size;

/// How long the rate is measured.
const MEASURED: Duration = Duration::from_secs(2);

/// What the server keeps for the slot, and how fast it writes.
#[derive(Debug, PartialEq)]
pub(super) struct WalBudget {
    slot: String,
    kept: Kept,
    bytes_per_second: f64,
}

#[derive(Debug, PartialEq)]
enum Kept {
    NoSlot,
    Lost,
    Unlimited,
    /// It is above what is kept for it.
    UsedUp,
    /// So many bytes more.
    Limited(f64),
}

impl WalBudget {
    /// Measures for about two seconds.
    pub(super) async fn measure(operation: &Operation<'_>) -> Result<Self, Failure> {
        let begin = Instant::now();
        let before = written(operation).await?;
        sleep(MEASURED).await;
        let bytes = written(operation).await? - before;
        let slot = operation.slot();
        let figures = slot_figures(operation.client(), slot).await;
        let figures = figures.map_err(|error| operation.failed(&error))?;
        Ok(Self {
            slot: slot.clone(),
            kept: figures.map_or(Kept::NoSlot, |figures| match figures.safe_wal_bytes {
                _ if figures.wal_status == "lost" => Kept::Lost,
                None => Kept::Unlimited,
                Some(bytes) if bytes <= 0.0 => Kept::UsedUp,
                Some(bytes) => Kept::Limited(bytes),
            }),
            bytes_per_second: bytes.max(0.0) / begin.elapsed().as_secs_f64(),
        })
    }
}

async fn written(operation: &Operation<'_>) -> Result<f64, Failure> {
    let row = operation
        .row("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8", &[])
        .await?;
    operation.read(|| row.try_get(0))
}

impl fmt::Display for WalBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, kept, .. } = self;
        let rate = size(self.bytes_per_second);
        write!(f, "WAL budget: ")?;
        match *kept {
            Kept::NoSlot => write!(f, "slot {slot} does not exist, and keeps nothing"),
            Kept::Lost => write!(f, "none, slot {slot} is lost already: docs/RECOVERY.md"),
            Kept::Unlimited => write!(
                f,
                "no limit is set: max_slot_wal_keep_size = -1; the disk fills with {rate} a second at the present rate"
            ),
            Kept::UsedUp => write!(
                f,
                "used up: slot {slot} may be lost at the next checkpoint; raise max_slot_wal_keep_size and reload"
            ),
            Kept::Limited(bytes) => {
                write!(f, "{} more before slot {slot} is at risk, ", size(bytes))?;
                match lasts(bytes, self.bytes_per_second) {
                    Some(time) => write!(f, "which lasts {} at the present {rate} a second", stretch(time)),
                    None => write!(f, "and nothing is written at present"),
                }
            }
        }
    }
}

/// `None` where that is for ever, or nobody lives to see it.
fn lasts(bytes: f64, bytes_per_second: f64) -> Option<Duration> {
    if bytes_per_second < 1.0 {
        return None;
    }
    Duration::try_from_secs_f64(bytes / bytes_per_second).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kept: Kept, bytes_per_second: f64) -> String {
        let slot = "shop".to_owned();
        let budget = WalBudget {
            slot,
            kept,
            bytes_per_second,
        };
        budget.to_string()
    }

    #[test]
    fn a_budget_says_how_long_it_lasts_or_that_there_is_none() {
        let mib = 1024.0 * 1024.0;
        assert_eq!(
            said(Kept::Limited(512.0 * mib), mib),
            "WAL budget: 512.0 MiB more before slot shop is at risk, which lasts 8m32s at the present 1.0 MiB a second"
        );
        assert!(said(Kept::Limited(mib), 0.0).ends_with("and nothing is written at present"));
        let unlimited = said(Kept::Unlimited, 100.0);
        assert!(
            unlimited.contains("max_slot_wal_keep_size = -1") && unlimited.contains("100 bytes a second"),
            "{unlimited}"
        );
        assert!(said(Kept::Limited(mib), 0.4).ends_with("and nothing is written at present"));
        assert!(said(Kept::UsedUp, 100.0).starts_with("WAL budget: used up: slot shop may be lost"));
        assert!(said(Kept::Lost, 0.0).contains("lost"));
        assert!(said(Kept::NoSlot, 0.0).contains("does not exist"));
    }
}

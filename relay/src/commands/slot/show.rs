//! `outbox-relay slot show`.

use outbox_decoder::Lsn;

use super::{Failure, Slot};
use crate::postgres::{Advisory, AdvisoryRow, SlotCopies, SlotState, slot_figures};
use crate::telemetry::SlotFigures;

impl Slot<'_> {
    pub(super) async fn show(&self) -> Result<(), Failure> {
        let (client, name) = (self.control.client(), self.name());
        let state = self.look().await?;
        let failed = |error| self.failed(&error);
        let figures = slot_figures(client, name).await.map_err(failed)?;
        let Some(figures) = figures.filter(|_| state != SlotState::Missing) else {
            return Ok(SlotState::Missing.must_be_free(name)?);
        };
        let copies = SlotCopies::look(client, name).await.map_err(failed)?;
        print!("{}", describe(name, &state, copies, &figures));
        if let SlotState::Lost { .. } = state {
            state.must_be_free(name)?;
        }
        if let Some(known) = Advisory::read(client, name).await.map_err(failed)? {
            print!("{}", remember(&known));
        }
        Ok(())
    }
}

fn describe(name: &str, state: &SlotState, copies: SlotCopies, figures: &SlotFigures) -> String {
    let on_standbys = match copies {
        SlotCopies { is_copy: true, .. } => "copied from the primary",
        SlotCopies { is_kept: true, .. } => "kept, where sync_replication_slots is on",
        SlotCopies { .. } => "not kept: a failover loses it (`slot create --failover`, PostgreSQL 17 and later)",
    };
    let in_use = match state {
        SlotState::InUse(holder) => format!("yes: {holder}"),
        _ => "no".to_owned(),
    };
    let confirmed = figures.confirmed.map_or("nothing".to_owned(), |lsn| lsn.to_string());
    let at_risk = match (state, figures.safe_wal_bytes) {
        (SlotState::Lost { .. }, _) => "nothing: it is lost".to_owned(),
        (_, Some(bytes)) if bytes <= 0.0 => format!(
            "nothing: {:.0} bytes above max_slot_wal_keep_size, and the next checkpoint may take the slot away",
            -bytes
        ),
        (_, Some(bytes)) => format!("{bytes:.0} bytes more"),
        (_, None) => "no limit is set (max_slot_wal_keep_size)".to_owned(),
    };
    format!(
        "slot:            {name}\n\
         in use:          {in_use}\n\
         on standbys:     {on_standbys}\n\
         confirmed:       {confirmed}\n\
         wal_status:      {}\n\
         unconfirmed WAL: {:.0} bytes\n\
         retained WAL:    {:.0} bytes\n\
         at risk after:   {at_risk}\n",
        figures.wal_status, figures.lag_bytes, figures.retained_wal_bytes
    )
}

fn remember(known: &AdvisoryRow) -> String {
    let confirmed = match known.remembered.confirmed {
        Lsn::ZERO => "nothing of the position yet".to_owned(),
        lsn => format!("at least {lsn} was confirmed"),
    };
    format!(
        "last relay knew: {confirmed}, on timeline {}\n\
         last stop:       {}\n",
        known.remembered.timeline,
        if known.clean_stop {
            "clean"
        } else {
            "not clean, or still running"
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: &SlotState, safe_wal_bytes: f64) -> String {
        let figures = SlotFigures {
            wal_status: "unreserved".to_owned(),
            safe_wal_bytes: Some(safe_wal_bytes),
            ..SlotFigures::default()
        };
        describe("shop", state, SlotCopies::default(), &figures)
    }

    #[test]
    fn a_budget_that_is_used_up_is_told_as_such_and_not_as_so_much_more() {
        assert!(said(&SlotState::Free, 512.0).contains("at risk after:   512 bytes more"));
        let above = said(&SlotState::Free, -16_777_216.0);
        assert!(
            above.contains("at risk after:   nothing: 16777216 bytes above"),
            "{above}"
        );
        let lost = SlotState::Lost { why: String::new() };
        assert!(said(&lost, 0.0).contains("at risk after:   nothing: it is lost"));
    }
}

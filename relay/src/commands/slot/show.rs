//! `outbox-relay slot show`.

use outbox_decoder::Lsn;

use super::{Failure, Found, Slot};
use crate::postgres::{Advisory, AdvisoryRow, PostgresError, slot_figures};
use crate::telemetry::SlotFigures;

/// What only people ask for.
struct Position {
    confirmed: String,
    holder: Option<String>,
}

impl Slot<'_> {
    pub(super) async fn show(&self) -> Result<(), Failure> {
        let (client, name) = (self.control.client(), self.name());
        if let Found::Missing(fault) = self.look().await? {
            return Err(fault.into());
        }
        let failed = |error| self.failed(&error);
        let figures = slot_figures(client, name).await.map_err(failed)?;
        let position = self.position().await.map_err(failed)?;
        let gone = || Failure::general(format!("slot {name} was dropped meanwhile"), "look again");
        let (figures, position) = figures.zip(position).ok_or_else(gone)?;
        print!("{}", describe(name, &figures, &position));
        if let Some(known) = Advisory::read(client, name).await.map_err(failed)? {
            print!("{}", remember(&known));
        }
        Ok(())
    }

    async fn position(&self) -> Result<Option<Position>, PostgresError> {
        let statement = "SELECT coalesce(slot.confirmed_flush_lsn::text, 'nothing'), slot.active_pid,
                coalesce(holder.application_name, ''), coalesce(host(holder.client_addr), 'a unix socket')
             FROM pg_replication_slots AS slot LEFT JOIN pg_stat_activity AS holder ON holder.pid = slot.active_pid
             WHERE slot.slot_name = $1";
        let row = self.control.client().query_opt(statement, &[&self.name()]).await?;
        let Some(row) = row else { return Ok(None) };
        let (application, client): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let holder = |pid| format!("{application} from {client}, server process {pid}");
        Ok(Some(Position {
            confirmed: row.try_get(0)?,
            holder: row.try_get::<_, Option<i32>>(1)?.map(holder),
        }))
    }
}

fn describe(name: &str, figures: &SlotFigures, position: &Position) -> String {
    let in_use = match &position.holder {
        Some(holder) => format!("yes: {holder}"),
        None => "no".to_owned(),
    };
    let at_risk = match figures.safe_wal_bytes {
        Some(bytes) => format!("{bytes:.0} bytes more"),
        None => "no limit is set (max_slot_wal_keep_size)".to_owned(),
    };
    format!(
        "slot:            {name}\n\
         in use:          {in_use}\n\
         confirmed:       {}\n\
         wal_status:      {}\n\
         unconfirmed WAL: {:.0} bytes\n\
         retained WAL:    {:.0} bytes\n\
         at risk after:   {at_risk}\n",
        position.confirmed, figures.wal_status, figures.lag_bytes, figures.retained_wal_bytes
    )
}

fn remember(known: &AdvisoryRow) -> String {
    let confirmed = match known.remembered.confirmed {
        Lsn::ZERO => "that nothing was confirmed yet".to_owned(),
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

//! One drain of a backlog, watched from outside.
//!
//! It begins when the client has attached to the slot: how long a start takes is a number of its own. It ends when
//! `pg_recvlogical` has received the last position, or when the brokers have acknowledged the last record to the
//! carrier, which the end offsets show.

mod table;
mod watch;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::carrier::Carrier;
use crate::database::Database;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::recvlogical;
use crate::topic::Topic;
use crate::usage::Usage;
use watch::Watch;

pub(crate) use table::Table;

/// Who drains.
#[derive(Clone, Copy)]
pub(crate) enum Client<'c> {
    Recvlogical,
    /// Into a topic.
    Carrier(&'c dyn Carrier, &'c Topic),
}

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Client::Recvlogical => "pg_recvlogical",
            Client::Carrier(carrier, _) => carrier.name(),
        })
    }
}

/// Rows that a slot has to send.
#[derive(Debug)]
pub(crate) struct Backlog {
    slot: &'static str,
    rows: u32,
    end: String,
}

impl Backlog {
    /// The backlog of a slot at this moment.
    pub(crate) fn up_to_now(slot: &'static str, rows: u32, database: &Database) -> Result<Backlog, Failure> {
        let end = database.end_of_wal()?;
        // Now rather than in the middle of a measurement. It also writes WAL beyond the end, so that a reader which
        // waits for the end gets there.
        database.execute("write a checkpoint", "CHECKPOINT")?;
        Ok(Backlog { slot, rows, end })
    }
}

/// What a drain took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Drain {
    pub(crate) rows: u32,
    /// From the start of the program until it was attached to its slot.
    pub(crate) attach_s: f64,
    /// From there until the first record was acknowledged; not of `pg_recvlogical`.
    pub(crate) first_record_s: Option<f64>,
    /// From there until everything was drained.
    pub(crate) drain_s: f64,
    /// What the client's start cost, until it was attached. Earlier results have it in `client`.
    #[serde(default)]
    pub(crate) start_cpu_s: f64,
    pub(crate) client: Cost,
    pub(crate) walsender: Cost,
    pub(crate) broker: Cost,
    /// The load average at its end.
    pub(crate) load: f64,
}

impl Drain {
    pub(crate) fn rows_per_s(&self) -> f64 {
        f64::from(self.rows) / self.drain_s
    }

    /// From the start of the program until the first record was acknowledged.
    pub(crate) fn start_to_first_record_s(&self) -> Option<f64> {
        Some(self.attach_s + self.first_record_s?)
    }
}

/// What one process spent on a drain.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Over the drain, without the start before it.
    pub(crate) cpu_us_per_row: f64,
    /// Over the life of the process.
    pub(crate) peak_rss_mib: f64,
}

impl Cost {
    fn between(before: Usage, after: Usage, rows: u32) -> Cost {
        let cpu = after.cpu.saturating_sub(before.cpu);
        Cost {
            cpu_us_per_row: cpu.as_secs_f64() * 1e6 / f64::from(rows),
            peak_rss_mib: after.peak_mib(),
        }
    }
}

/// Drains a copy of the backlog's slot.
pub(crate) fn drain(
    installation: &Installation,
    backlog: &Backlog,
    client: Client<'_>,
    interrupt: &Interrupt,
) -> Result<Drain, Failure> {
    let slot = format!("{}_copy", backlog.slot);
    installation.database.copy_slot(backlog.slot, &slot)?;
    let drained = match client {
        Client::Recvlogical => {
            let mut child = recvlogical::start(installation, &slot, &backlog.end)?;
            Watch::attach(installation, &mut child, &slot, interrupt)?.until_it_ends(
                &mut child,
                backlog.rows,
                interrupt,
            )?
        }
        Client::Carrier(carrier, topic) => {
            let before = topic.records()?;
            let mut child = carrier.start(&slot)?;
            let watch = Watch::attach(installation, &mut child, &slot, interrupt)?;
            let published = || Ok(topic.records()? - before);
            let drained = watch.until_published(&mut child, backlog.rows, published, interrupt)?;
            carrier.stop(child, interrupt)?;
            expect_exactly(carrier, backlog.rows, published()?)?;
            drained
        }
    };
    installation.database.drop_slot(&slot)?;
    Ok(drained)
}

/// Speed does not count when records are missing, or there twice.
fn expect_exactly(carrier: &dyn Carrier, rows: u32, found: i64) -> Result<(), Failure> {
    let expected = i64::from(rows);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Count {
        carrier: carrier.name().to_owned(),
        expected,
        found,
    })
}

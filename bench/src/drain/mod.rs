//! One drain of a backlog, watched from outside.
//!
//! It begins when the client has attached to the slot: how long a start takes is a number of its own. It ends when a
//! reader has received the last position, or when the brokers have acknowledged the last record to the carrier, which
//! the end offsets show.

mod table;
mod watch;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carrier::Carrier;
use crate::child::Child;
use crate::database::Database;
use crate::door::Door;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::topic::Topic;
use crate::usage::Usage;
use crate::{lazy_reader, producer_alone, recvlogical};
use watch::Watch;

pub(crate) use table::Table;

/// For a producer to end once everything is acknowledged.
const END_LIMIT: Duration = Duration::from_secs(30);

/// Who drains.
#[derive(Clone, Copy)]
pub(crate) enum Client<'c> {
    /// To nowhere, through a door.
    Recvlogical(Door),
    /// Into a topic.
    Carrier(&'c dyn Carrier, &'c Topic),
}

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Client::Recvlogical(_) => "pg_recvlogical",
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

    pub(crate) const fn rows(&self) -> u32 {
        self.rows
    }

    /// The same one, of whose rows so many are published.
    pub(crate) fn of_which(&self, rows: u32) -> Backlog {
        Backlog {
            rows,
            end: self.end.clone(),
            ..*self
        }
    }

    /// Another slot that has the same to send.
    fn copy(&self, installation: &Installation) -> Result<String, Failure> {
        let copy = format!("{}_copy", self.slot);
        installation.database.copy_slot(self.slot, &copy)?;
        Ok(copy)
    }
}

/// What a drain took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Drain {
    pub(crate) rows: u32,
    /// From the start of the program until it was attached to its slot.
    pub(crate) attach_s: f64,
    /// From there until the first record was acknowledged; not of readers.
    pub(crate) first_record_s: Option<f64>,
    /// From there until everything was drained.
    pub(crate) drain_s: f64,
    /// What the client's start cost, until it was attached. Earlier results have it in `client`.
    #[serde(default)]
    pub(crate) start_cpu_s: f64,
    pub(crate) client: Cost,
    pub(crate) walsender: Cost,
    /// All brokers together.
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
    let slot = backlog.copy(installation)?;
    let drained = match client {
        Client::Recvlogical(door) => {
            let mut child = recvlogical::start(installation, door, &slot, &backlog.end)?;
            read_to_the_end(installation, backlog, &mut child, &slot, interrupt)?
        }
        Client::Carrier(carrier, topic) => {
            let before = topic.records()?;
            let mut child = carrier.start(&slot)?;
            let watch = Watch::attach(installation, &mut child, &slot, interrupt)?;
            let published = || Ok(topic.records()? - before);
            let drained = watch.until_published(&mut child, backlog.rows, published, interrupt)?;
            carrier.stop(child, interrupt)?;
            expect_exactly(carrier.name(), backlog.rows, published()?)?;
            drained
        }
    };
    installation.database.drop_slot(&slot)?;
    Ok(drained)
}

/// Drains a copy of the backlog's slot until all of it is confirmed, by a carrier that may publish some rows twice. Also how
/// many records there are beyond those of the backlog.
pub(crate) fn drain_until_confirmed(
    installation: &Installation,
    backlog: &Backlog,
    (carrier, topic): (&dyn Carrier, &Topic),
    interrupt: &Interrupt,
) -> Result<(Drain, i64), Failure> {
    let (slot, rows) = (backlog.copy(installation)?, i64::from(backlog.rows));
    let before = topic.records()?;
    let mut child = carrier.start(&slot)?;
    let watch = Watch::attach(installation, &mut child, &slot, interrupt)?;
    let confirmed = || {
        if installation.database.has_confirmed(&slot, &backlog.end)? {
            return Ok(rows);
        }
        Ok((topic.records()? - before).min(rows - 1))
    };
    let drained = watch.until_published(&mut child, backlog.rows, confirmed, interrupt)?;
    carrier.stop(child, interrupt)?;
    installation.database.drop_slot(&slot)?;
    let found = topic.records()? - before;
    if found < rows {
        expect_exactly(carrier.name(), backlog.rows, found)?;
    }
    Ok((drained, found - rows))
}

/// The lazy reader's drain, to nowhere, with these keys of the relay's configuration on top. Also the bytes of a row on the
/// wire, as it has counted them.
pub(crate) fn read_lazily(
    installation: &Installation,
    backlog: &Backlog,
    settings: &[String],
    interrupt: &Interrupt,
) -> Result<(Drain, f64), Failure> {
    let slot = backlog.copy(installation)?;
    let mut child = lazy_reader::start(installation, settings, &slot, &backlog.end)?;
    let drained = read_to_the_end(installation, backlog, &mut child, &slot, interrupt)?;
    installation.database.drop_slot(&slot)?;
    Ok((drained, lazy_reader::row_bytes(&child, backlog.rows)?))
}

fn read_to_the_end(
    installation: &Installation,
    backlog: &Backlog,
    child: &mut Child,
    slot: &str,
    interrupt: &Interrupt,
) -> Result<Drain, Failure> {
    let watch = Watch::attach_reader(installation, child, slot, interrupt)?;
    watch.until_it_ends(child, backlog.rows, interrupt)
}

/// Sends as many records as a backlog has into the same topic, without a slot before them.
pub(crate) fn produce(
    installation: &Installation,
    backlog: &Backlog,
    settings: &[String],
    (topic, sample): (&Topic, &Path),
    interrupt: &Interrupt,
) -> Result<Drain, Failure> {
    let before = topic.records()?;
    let published = || Ok(topic.records()? - before);
    let mut child = producer_alone::start(installation, settings, topic, backlog.rows, sample)?;
    let watch = Watch::ready(installation, &mut child, producer_alone::READY, interrupt)?;
    let drained = watch.until_published(&mut child, backlog.rows, published, interrupt)?;
    child.wait(END_LIMIT, interrupt)?;
    expect_exactly(producer_alone::NAME, backlog.rows, published()?)?;
    Ok(drained)
}

/// Speed does not count when records are missing, or there twice.
fn expect_exactly(carrier: &str, rows: u32, found: i64) -> Result<(), Failure> {
    let expected = i64::from(rows);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Count {
        carrier: carrier.to_owned(),
        expected,
        found,
    })
}

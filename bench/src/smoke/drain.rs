//! One drain of a backlog, watched from outside.
//!
//! It begins when the client has attached to the slot: for the relay, how long a start takes is a number of its own.
//! It ends when `pg_recvlogical` has received the last position, or when the brokers have acknowledged the last record
//! to the relay, which the end offsets show.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::child::Child;
use crate::database::Database;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::relay::Relay;
use crate::usage::Usage;
use crate::{machine, recvlogical};

/// Often enough to be exact to a percent, seldom enough to cost the clients nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_mins(15);

/// Who drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Recvlogical,
    Relay,
    /// Both of its connections encrypted and verified.
    RelayOverTls,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Client::Recvlogical => "pg_recvlogical",
            Client::Relay => "the relay",
            Client::RelayOverTls => "the relay over TLS",
        })
    }
}

/// Rows that a slot has to send.
#[derive(Debug)]
pub(super) struct Backlog {
    slot: &'static str,
    rows: u32,
    end: String,
}

impl Backlog {
    /// The backlog of a slot at this moment.
    pub(super) fn up_to_now(slot: &'static str, rows: u32, database: &Database) -> Result<Backlog, Failure> {
        let end = database.end_of_wal()?;
        // Now rather than in the middle of a measurement. It also writes WAL beyond the end, so that a reader which
        // waits for the end gets there.
        database.execute("write a checkpoint", "CHECKPOINT")?;
        Ok(Backlog { slot, rows, end })
    }
}

/// What a drain took.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Drain {
    pub(super) rows: u32,
    /// From the start of the program until it was attached to its slot.
    pub(super) attach_s: f64,
    /// From there until the first record was acknowledged; the relay only.
    pub(super) first_record_s: Option<f64>,
    /// From there until everything was drained.
    pub(super) drain_s: f64,
    pub(super) client: Cost,
    pub(super) walsender: Cost,
    pub(super) broker: Cost,
    /// The load average at its end.
    pub(super) load: f64,
}

impl Drain {
    pub(super) fn rows_per_s(&self) -> f64 {
        f64::from(self.rows) / self.drain_s
    }
}

/// What one process spent on a drain.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Cost {
    pub(super) cpu_us_per_row: f64,
    /// Over the life of the process.
    pub(super) peak_rss_mib: f64,
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
pub(super) fn drain(
    installation: &Installation,
    backlog: &Backlog,
    client: Client,
    interrupt: &Interrupt,
) -> Result<Drain, Failure> {
    let slot = format!("{}_copy", backlog.slot);
    installation.database.copy_slot(backlog.slot, &slot)?;
    let published_before = installation.topic.records()?;
    let mut child = match client {
        Client::Recvlogical => recvlogical::start(installation, &slot, &backlog.end)?,
        Client::Relay => installation.relay.run(&slot, &[])?,
        Client::RelayOverTls => installation.relay.run(&slot, &installation.tls_settings)?,
    };
    let watch = Watch::attach(installation, &mut child, &slot, interrupt)?;
    let drained = match client {
        Client::Recvlogical => watch.until_it_ends(&mut child, backlog.rows, interrupt)?,
        Client::Relay | Client::RelayOverTls => {
            let drained = watch.until_published(&mut child, backlog.rows, published_before, interrupt)?;
            Relay::stop(child, interrupt)?;
            expect_exactly(installation, published_before, backlog.rows)?;
            drained
        }
    };
    installation.database.drop_slot(&slot)?;
    Ok(drained)
}

/// Speed does not count when records are missing, or there twice.
fn expect_exactly(installation: &Installation, before: i64, rows: u32) -> Result<(), Failure> {
    let (expected, found) = (i64::from(rows), installation.topic.records()? - before);
    if found == expected {
        return Ok(());
    }
    Err(Failure::Count { expected, found })
}

/// The three processes of a drain since the client attached to its slot.
struct Watch<'i> {
    installation: &'i Installation,
    walsender: u32,
    attached_at: Instant,
    attach: Duration,
    first_record: Option<Duration>,
    client_usage: Usage,
    walsender_usage: Usage,
    broker_before: Usage,
}

impl<'i> Watch<'i> {
    fn attach(
        installation: &'i Installation,
        child: &mut Child,
        slot: &str,
        interrupt: &Interrupt,
    ) -> Result<Watch<'i>, Failure> {
        let broker_before = Usage::of(installation.stack.kafka.pid(0)).unwrap_or_default();
        Ok(Watch {
            installation,
            walsender: installation.attached(child, slot, interrupt)?,
            attached_at: Instant::now(),
            attach: child.spawned_at().elapsed(),
            first_record: None,
            client_usage: Usage::default(),
            walsender_usage: Usage::default(),
            broker_before,
        })
    }

    fn until_it_ends(mut self, child: &mut Child, rows: u32, interrupt: &Interrupt) -> Result<Drain, Failure> {
        loop {
            match child.ended()? {
                Some(status) if status.success() => return Ok(self.finish(rows)),
                Some(status) => return Err(child.ended_with(status)),
                None => self.look(child.pid()),
            }
            interrupt.pass(LOOK_AGAIN)?;
        }
    }

    fn until_published(
        mut self,
        child: &mut Child,
        rows: u32,
        before: i64,
        interrupt: &Interrupt,
    ) -> Result<Drain, Failure> {
        loop {
            let published = self.installation.topic.records()? - before;
            if published > 0 && self.first_record.is_none() {
                self.first_record = Some(self.attached_at.elapsed());
            }
            if published >= i64::from(rows) {
                let drained_at = self.attached_at.elapsed();
                self.look(child.pid());
                return Ok(self.finish_at(drained_at, rows));
            }
            child.expect_running("publish its backlog", LIMIT)?;
            self.look(child.pid());
            interrupt.pass(LOOK_AGAIN)?;
        }
    }

    /// Notes what is used so far; a process that has just ended keeps what was seen last.
    fn look(&mut self, client: u32) {
        self.client_usage = Usage::of(client).unwrap_or(self.client_usage);
        self.walsender_usage = Usage::of(self.walsender).unwrap_or(self.walsender_usage);
    }

    fn finish(self, rows: u32) -> Drain {
        let now = self.attached_at.elapsed();
        self.finish_at(now, rows)
    }

    fn finish_at(self, drained_at: Duration, rows: u32) -> Drain {
        let broker = Usage::of(self.installation.stack.kafka.pid(0)).unwrap_or_default();
        let since_start = |usage| Cost::between(Usage::default(), usage, rows);
        Drain {
            rows,
            attach_s: self.attach.as_secs_f64(),
            first_record_s: self.first_record.map(|first| first.as_secs_f64()),
            drain_s: drained_at.as_secs_f64(),
            client: since_start(self.client_usage),
            walsender: since_start(self.walsender_usage),
            broker: Cost::between(self.broker_before, broker, rows),
            load: machine::load(),
        }
    }
}

//! The processes of a drain, looked at again and again since the client attached to its slot.

use std::time::{Duration, Instant};

use super::{Cost, Drain};
use crate::child::Child;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::progress::Bar;
use crate::usage::Usage;

/// Often enough to be exact to a percent, seldom enough to cost the clients nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_mins(15);
const READY_LIMIT: Duration = Duration::from_mins(1);
const ASK_AGAIN: Duration = Duration::from_millis(2);

pub(super) struct Watch<'i> {
    installation: &'i Installation,
    walsender: Option<u32>,
    attached_at: Instant,
    attach: Duration,
    first_record: Option<Duration>,
    client_before: Usage,
    client_usage: Usage,
    walsender_usage: Usage,
    broker_before: Usage,
}

impl<'i> Watch<'i> {
    pub(super) fn attach(
        installation: &'i Installation,
        child: &mut Child,
        slot: &str,
        interrupt: &Interrupt,
    ) -> Result<Watch<'i>, Failure> {
        let broker_before = installation.brokers_usage();
        let walsender = installation.attached(child, slot, interrupt)?;
        Ok(Watch::begin(installation, child, Some(walsender), broker_before))
    }

    /// The same for a program that ends by itself, which with a small backlog it may do before it is seen at its slot: its
    /// start counts as part of the drain then.
    pub(super) fn attach_reader(
        installation: &'i Installation,
        child: &mut Child,
        slot: &str,
        interrupt: &Interrupt,
    ) -> Result<Watch<'i>, Failure> {
        let broker_before = installation.brokers_usage();
        match installation.attached(child, slot, interrupt) {
            Err(Failure::Ended { status, .. }) if status.success() => Ok(Watch {
                attached_at: child.spawned_at(),
                attach: Duration::ZERO,
                ..Watch::begin(installation, child, None, broker_before)
            }),
            attached => Ok(Watch::begin(installation, child, Some(attached?), broker_before)),
        }
    }

    /// The same for a program that needs no slot and says when it begins.
    pub(super) fn ready(
        installation: &'i Installation,
        child: &mut Child,
        word: &str,
        interrupt: &Interrupt,
    ) -> Result<Watch<'i>, Failure> {
        let broker_before = installation.brokers_usage();
        while !child.said().contains(word) {
            child.expect_running("get ready", READY_LIMIT)?;
            interrupt.pass(ASK_AGAIN)?;
        }
        Ok(Watch::begin(installation, child, None, broker_before))
    }

    fn begin(installation: &'i Installation, child: &Child, walsender: Option<u32>, broker_before: Usage) -> Watch<'i> {
        let client_before = Usage::of(child.pid()).unwrap_or_default();
        Watch {
            installation,
            walsender,
            attached_at: Instant::now(),
            attach: child.spawned_at().elapsed(),
            first_record: None,
            client_before,
            client_usage: client_before,
            walsender_usage: Usage::default(),
            broker_before,
        }
    }

    pub(super) fn until_it_ends(
        mut self,
        child: &mut Child,
        rows: u32,
        interrupt: &Interrupt,
    ) -> Result<Drain, Failure> {
        loop {
            match child.ended()? {
                Some(status) if status.success() => {
                    let now = self.attached_at.elapsed();
                    return Ok(self.finish(now, rows));
                }
                Some(status) => return Err(child.ended_with(status)),
                None => self.look(child.pid()),
            }
            child.expect_in_time("read its backlog", LIMIT)?;
            interrupt.pass(LOOK_AGAIN)?;
        }
    }

    pub(super) fn until_published(
        mut self,
        child: &mut Child,
        rows: u32,
        published: impl Fn() -> Result<i64, Failure>,
        interrupt: &Interrupt,
    ) -> Result<Drain, Failure> {
        let bar = Bar::new("records published", rows);
        loop {
            let published = published()?;
            bar.set(u32::try_from(published).unwrap_or_default());
            if published > 0 && self.first_record.is_none() {
                self.first_record = Some(self.attached_at.elapsed());
            }
            if published >= i64::from(rows) {
                let drained_at = self.attached_at.elapsed();
                self.look(child.pid());
                return Ok(self.finish(drained_at, rows));
            }
            child.expect_running("publish its backlog", LIMIT)?;
            self.look(child.pid());
            interrupt.pass(LOOK_AGAIN)?;
        }
    }

    /// Notes what is used so far; a process that has just ended keeps what was seen last.
    fn look(&mut self, client: u32) {
        self.client_usage = Usage::of(client).unwrap_or(self.client_usage);
        self.walsender_usage = self.walsender.and_then(Usage::of).unwrap_or(self.walsender_usage);
    }

    fn finish(self, drained_at: Duration, rows: u32) -> Drain {
        let broker = self.installation.brokers_usage();
        Drain {
            rows,
            attach_s: self.attach.as_secs_f64(),
            first_record_s: self.first_record.map(|first| first.as_secs_f64()),
            drain_s: drained_at.as_secs_f64(),
            start_cpu_s: self.client_before.cpu.as_secs_f64(),
            client: Cost::between(self.client_before, self.client_usage, rows),
            walsender: Cost::between(Usage::default(), self.walsender_usage, rows),
            broker: Cost::between(self.broker_before, broker, rows),
            load: machine::load(),
        }
    }
}

//! The measurement: a load, a carrier, and a consumer at the other end.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::backlog_growth;
use super::commit_to_ack::Buckets;
use super::journal::{Histograms, Journal, Latencies, Punctuality};
use super::latency::Latency;
use super::load::Load;
use super::reader::Reader;
use super::rest;
use super::snapshot::{CpuPercent, Snapshot, Waited};
use super::writer::Writer;
use crate::backlog::Payload;
use crate::carrier::Carrier;
use crate::child::Child;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::progress::Progress;
use crate::topic::Topic;
use crate::usage::Usage;

const SLOT: &str = "steady";
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a carrier has for what still waits when the writer has ended, and for a slow start before.
const DRAIN_LIMIT: Duration = Duration::from_mins(2);
/// How long the consumer has for what is in the topic.
const CONSUME_LIMIT: Duration = Duration::from_secs(30);

/// What one measurement at one rate has shown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Steady {
    pub(crate) carrier: String,
    pub(crate) load: Load,
    /// How long the servers took before it to come to rest; `None` when they did not.
    pub(crate) rest_s: Option<f64>,
    /// Rows of the window.
    pub(crate) events: usize,
    pub(crate) writer: Punctuality,
    pub(crate) latencies: Latencies,
    /// What they were made of.
    pub(crate) histograms_us: Histograms,
    /// From the relay's own histogram, for each transaction; only the relay has it.
    pub(crate) commit_to_ack: Option<Latency>,
    /// Over the window.
    pub(crate) cpu_percent: CpuPercent,
    /// Over the window too; `None` where the kernel does not say.
    pub(crate) waited_for_a_core_percent: Option<Waited>,
    /// Of the carrier, over its life.
    pub(crate) peak_rss_mib: f64,
    /// How many more committed rows waited at the end of the window than at its beginning.
    pub(crate) backlog_growth_events: f64,
    pub(crate) load_average: f64,
}

/// Offers a load to a carrier that is started for it once the servers are at rest, on a slot of its own, and checks that
/// each row arrived once.
pub(crate) fn measure(
    installation: &Installation,
    topic: &Topic,
    carrier: &dyn Carrier,
    load: Load,
    interrupt: &Interrupt,
) -> Result<Steady, Failure> {
    Payload::of_row(load.row_bytes).prepare(&installation.database)?;
    let rest_s = rest::wait(installation, interrupt)?;
    installation.database.create_slot(SLOT)?;
    let records_before = topic.records()?;
    let mut run = Run::start(installation, topic, carrier, load, interrupt)?;
    let window = run.through_the_window()?;
    let (origin, sent) = (run.writer.origin(), run.writer.finish()?);
    let rows = i64::try_from(sent.len()).unwrap_or(i64::MAX) * i64::from(load.rows_per_transaction);
    run.until_seen(rows, DRAIN_LIMIT)?;
    let commit_to_ack = run.buckets()?.since(&window.buckets_before).latency();
    let peak_rss_mib = Usage::of(run.child.pid()).unwrap_or_default().peak_mib();
    let Run { child, reader, .. } = run;
    carrier.stop(child, interrupt)?;
    // What came twice has come by now.
    let seen = consume(reader, topic.records()? - records_before, interrupt)?;
    installation.database.drop_slot(SLOT)?;
    let journal = Journal::new(load, origin, sent, seen);
    journal.expect_each_row_once(carrier.name())?;
    let (latencies, histograms_us) = journal.latencies();
    Ok(Steady {
        carrier: carrier.name().to_owned(),
        load,
        rest_s,
        events: journal.events(),
        writer: journal.punctuality(),
        latencies,
        histograms_us,
        commit_to_ack,
        cpu_percent: window.after.cpu_percent_since(&window.before),
        waited_for_a_core_percent: window.after.waited_percent_since(&window.before),
        peak_rss_mib,
        backlog_growth_events: backlog_growth::of(&window.backlog),
        load_average: machine::load(),
    })
}

/// Takes from the topic what is in it, as the broker says.
fn consume(mut reader: Reader, records: i64, interrupt: &Interrupt) -> Result<Vec<super::reader::Seen>, Failure> {
    let begin = Instant::now();
    while i64::from(reader.seen()) < records && !reader.has_failed() && begin.elapsed() < CONSUME_LIMIT {
        interrupt.pass(LOOK_AGAIN)?;
    }
    reader.finish()
}

/// Everything that runs during a measurement. The writer goes first when it ends early.
struct Run<'r> {
    writer: Writer,
    reader: Reader,
    child: Child,
    walsender: u32,
    installation: &'r Installation,
    carrier: &'r dyn Carrier,
    load: Load,
    interrupt: &'r Interrupt,
}

impl<'r> Run<'r> {
    fn start(
        installation: &'r Installation,
        topic: &Topic,
        carrier: &'r dyn Carrier,
        load: Load,
        interrupt: &'r Interrupt,
    ) -> Result<Run<'r>, Failure> {
        let reader = Reader::start(topic)?;
        let mut child = carrier.start(SLOT)?;
        let walsender = installation.attached(&mut child, SLOT, interrupt)?;
        Ok(Run {
            writer: Writer::start(installation.stack.postgres.facts(), load, interrupt)?,
            reader,
            child,
            walsender,
            installation,
            carrier,
            load,
            interrupt,
        })
    }

    fn through_the_window(&mut self) -> Result<Window, Failure> {
        let Load {
            rate_events_per_s: rate,
            warm_up_s,
            window_s,
            ..
        } = self.load;
        let progress = Progress::new(&format!("{rate} events/s: seconds"), warm_up_s + window_s);
        let begin = self.writer.origin() + self.load.warm_up();
        self.until(begin, &progress)?;
        let (buckets_before, before) = (self.buckets()?, self.snapshot());
        let backlog = self.until(begin + self.load.window(), &progress)?;
        Ok(Window {
            buckets_before,
            before,
            after: self.snapshot(),
            backlog,
        })
    }

    /// Waits, and notes how many committed rows have not arrived.
    fn until(&mut self, time: Instant, progress: &Progress) -> Result<Vec<u32>, Failure> {
        let mut backlog = Vec::new();
        while Instant::now() < time {
            self.pass(LOOK_AGAIN.min(time.saturating_duration_since(Instant::now())))?;
            let passed = Instant::now().saturating_duration_since(self.writer.origin());
            progress.set(u32::try_from(passed.as_secs()).unwrap_or(u32::MAX));
            let rows = self.writer.committed() * self.load.rows_per_transaction;
            backlog.push(rows.saturating_sub(self.reader.seen()));
        }
        Ok(backlog)
    }

    /// Waits until the consumer has so many records.
    fn until_seen(&mut self, records: i64, limit: Duration) -> Result<(), Failure> {
        let all = self.load.warm_up() + self.load.window() + limit;
        while i64::from(self.reader.seen()) < records {
            self.child.expect_running("publish every row", all)?;
            self.pass(LOOK_AGAIN)?;
        }
        Ok(())
    }

    /// A moment later, provided that everything still runs.
    fn pass(&mut self, wait: Duration) -> Result<(), Failure> {
        self.interrupt.pass(wait)?;
        if let Some(status) = self.child.ended()? {
            return Err(self.child.ended_with(status));
        }
        if self.writer.has_failed() {
            self.writer.finish()?;
        }
        if self.reader.has_failed() {
            self.reader.finish()?;
        }
        Ok(())
    }

    fn buckets(&self) -> Result<Buckets, Failure> {
        self.carrier.admin_port().map_or(Ok(Buckets::default()), Buckets::ask)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.child.pid(), self.walsender, self.installation)
    }
}

/// What was looked at before, during and after the window.
struct Window {
    buckets_before: Buckets,
    before: Snapshot,
    after: Snapshot,
    backlog: Vec<u32>,
}

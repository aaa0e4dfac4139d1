//! Publishes what Kafka lacks, in the order of the chosen column.

use std::cell::Cell;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::super::Failure;
use super::super::slot::Slot;
use super::deliveries::Deliveries;
use super::ids::Ids;
use super::outboxes::Outbox;
use super::reader::Reader;
use super::since::Since;
use super::survey::{Verdict, judge, key_of};
use crate::fault::{Fault, FaultKind, policy};
use crate::replay::{Publisher, Record};

const TELL_EVERY: Duration = Duration::from_secs(5);

/// What became of one table's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Republished {
    pub(super) table: String,
    pub(super) by: String,
    pub(super) rows: u64,
    pub(super) in_kafka: u64,
    pub(super) left_out: u64,
    pub(super) republished: u64,
}

/// What is not published: Kafka has it, or somebody has decided about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Without<'s> {
    pub(super) held: &'s Ids,
    pub(super) left_out: &'s Ids,
}

/// One after the other, table by table.
pub(super) struct Republishing<'s> {
    slot: &'s Slot<'s>,
    reader: &'s Reader,
    without: Without<'s>,
    publisher: Publisher,
    told_at: Instant,
    /// For whoever notes what came of it, however it ends.
    acknowledged: &'s Cell<u64>,
    keys: Vec<u128>,
}

impl<'s> Republishing<'s> {
    pub(super) fn start(
        slot: &'s Slot<'s>,
        reader: &'s Reader,
        without: Without<'s>,
        acknowledged: &'s Cell<u64>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            slot,
            reader,
            without,
            publisher: Publisher::start(slot.settings)?,
            told_at: Instant::now(),
            acknowledged,
            keys: Vec::new(),
        })
    }

    /// Publishes what is missing of one table.
    pub(super) async fn table(&mut self, outbox: &Outbox, since: Since) -> Result<Republished, Failure> {
        let failed = |error| self.reader.failed(&outbox.name, error);
        let rows = outbox
            .rows
            .read(self.reader.client(), &outbox.selection(since.at))
            .await;
        let mut rows = rows.map_err(failed)?;
        let mut so_far = Republished {
            table: outbox.name.clone(),
            by: outbox.by.column.clone(),
            rows: 0,
            in_kafka: 0,
            left_out: 0,
            republished: 0,
        };
        let mut deliveries = (outbox.keeps_deliveries.as_deref()).map(|outbox| Deliveries::of(self.slot, outbox));
        while let Some(row) = rows.next().await.map_err(failed)? {
            let key = key_of(&row);
            self.keys.push(key);
            so_far.rows += 1;
            match judge(key, self.without.held, self.without.left_out) {
                Verdict::InKafka => {
                    so_far.in_kafka += 1;
                    if let Some(deliveries) = &mut deliveries {
                        deliveries.found(&row.id);
                    }
                }
                Verdict::LeftOut => so_far.left_out += 1,
                Verdict::Missing => {
                    // One that was written since the tables were looked through.
                    let record = row.record.map_err(|error| left_out_or_mended(&row.id, &error))?;
                    self.publish(&record).await?;
                    so_far.republished += 1;
                    if let Some(deliveries) = &mut deliveries {
                        deliveries.published(&row.id);
                    }
                }
            }
            if let Some(full) = deliveries.as_mut().filter(|deliveries| deliveries.is_full()) {
                self.tell_of(full).await?;
            }
            self.tell(&so_far);
        }
        if let Some(rest) = &mut deliveries {
            self.tell_of(rest).await?;
        }
        Ok(so_far)
    }

    /// Tells the database of deliveries, once the brokers have acknowledged them.
    async fn tell_of(&mut self, deliveries: &mut Deliveries<'_>) -> Result<(), Failure> {
        if deliveries.awaits() {
            self.all_acknowledged().await?;
        }
        deliveries.tell().await
    }

    /// Waits until everything is acknowledged, and gives the keys of all rows that were read.
    pub(super) async fn finish(mut self) -> Result<Ids, Failure> {
        self.all_acknowledged().await?;
        Ok(Ids::of(self.keys))
    }

    async fn all_acknowledged(&mut self) -> Result<(), Failure> {
        loop {
            match timeout(TELL_EVERY, self.publisher.finish()).await {
                Ok(finished) => {
                    self.acknowledged.set(finished.map_err(with_a_way_out)?);
                    return Ok(());
                }
                Err(_) => self.tell_what_is_waited_for(),
            }
        }
    }

    async fn publish(&mut self, record: &Record) -> Result<(), Failure> {
        loop {
            match timeout(TELL_EVERY, self.publisher.publish(record)).await {
                Ok(published) => {
                    self.acknowledged.set(self.publisher.acknowledged());
                    return published.map_err(|fault| with_a_way_out(fault).into());
                }
                Err(_) => self.tell_what_is_waited_for(),
            }
        }
    }

    fn tell(&mut self, so_far: &Republished) {
        if self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            let Republished {
                table,
                rows,
                republished,
                ..
            } = so_far;
            eprintln!("{table}: {rows} rows read, {republished} published once more");
        }
    }

    fn tell_what_is_waited_for(&self) {
        match self.publisher.waits_for() {
            Some(fault) => eprintln!("waiting: {}", fault.message),
            None => eprintln!("waiting for acknowledgements"),
        }
    }
}

/// A record that can never be accepted need not hold up the others.
fn with_a_way_out(fault: Fault) -> Fault {
    if fault.kind() != FaultKind::EventDefect {
        return fault;
    }
    let hint = format!("{}; or leave it out, --leave-out ID, and run it again", fault.hint);
    Fault { hint, ..fault }
}

fn left_out_or_mended(id: &str, error: &outbox_decoder::MappingError) -> Failure {
    Fault::new(
        policy::of_row(error),
        format!("event {id} cannot become a record: {error}"),
        "correct the outbox's columns or its topic template, or leave it out, --leave-out ID; then run it again",
    )
    .into()
}

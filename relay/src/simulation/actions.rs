//! What can happen in one step.

use std::time::Duration;

use fastrand::Rng;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::cluster::{Answer, Cluster, Partition};
use super::judge::Violation;
use super::world::World;

/// Which faults may happen: a bit each.
pub(super) type Faults = u32;

/// A clean stop that takes longer is none.
const DRAIN_ROUNDS_MAX: u32 = 200;
/// What brokers refuse a batch for, whoever's fault it is.
const REFUSALS: [Code; 6] = [
    Code::TopicAuthorizationFailed,
    Code::UnknownTopicOrPartition,
    Code::InvalidRecord,
    Code::MessageSizeTooLarge,
    Code::PolicyViolation,
    Code::Unknown,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Commit,
    WriteForeign,
    Checkpoint,
    Stream,
    SayAlive,
    Deliver,
    Tick,
    Transmit,
    Handle,
    Respond,
    AnswerCount,
    Connect,
    /// Of the table of dead letters.
    CommitLetters,
    AnswerLetters,
    Redrive,
    /// Of the notes of deliveries.
    WriteNotes,
    AnswerNotes,
    /// From here on: faults.
    LoseAnswers,
    LoseStream,
    CrashServer,
    KillRelay,
    StopRelay,
    RefuseBatch,
    RefuseForNow,
    PoisonRow,
    BreakProducer,
    FillQueue,
    Ghost,
    WaitLong,
    RefuseLocally,
    Discard,
    GhostLetters,
}

/// Each with its weight.
const ACTIONS: [(Action, u32); 32] = [
    (Action::Commit, 60),
    (Action::WriteForeign, 15),
    (Action::Checkpoint, 10),
    (Action::Stream, 70),
    (Action::SayAlive, 25),
    (Action::Deliver, 90),
    (Action::Tick, 60),
    (Action::Transmit, 110),
    (Action::Handle, 110),
    (Action::Respond, 100),
    (Action::AnswerCount, 30),
    (Action::Connect, 40),
    (Action::CommitLetters, 30),
    (Action::AnswerLetters, 30),
    (Action::Redrive, 20),
    (Action::WriteNotes, 40),
    (Action::AnswerNotes, 25),
    (Action::LoseAnswers, 20),
    (Action::LoseStream, 6),
    (Action::CrashServer, 4),
    (Action::KillRelay, 6),
    (Action::StopRelay, 3),
    (Action::RefuseBatch, 30),
    (Action::RefuseForNow, 20),
    (Action::PoisonRow, 40),
    (Action::BreakProducer, 8),
    (Action::FillQueue, 6),
    (Action::Ghost, 20),
    (Action::WaitLong, 40),
    (Action::RefuseLocally, 40),
    (Action::Discard, 10),
    (Action::GhostLetters, 15),
];

impl Action {
    pub(super) fn choose(random: &mut Rng) -> Self {
        let all: u32 = ACTIONS.iter().map(|(_, weight)| weight).sum();
        let mut chosen = random.u32(0..all);
        for (action, weight) in ACTIONS {
            if chosen < weight {
                return action;
            }
            chosen -= weight;
        }
        unreachable!("it is below the sum of the weights")
    }

    pub(super) fn is_allowed(self, faults: Faults) -> bool {
        self < Self::LoseAnswers || faults & (1 << self as u32) != 0
    }

    pub(super) fn happen(self, world: &mut World) -> Result<(), Violation> {
        match self {
            Self::Commit => commit(world),
            Self::WriteForeign => world.server.write_foreign(&mut world.random),
            Self::Checkpoint => world.server.checkpoint(),
            Self::Stream => world.server.stream(&mut world.random),
            Self::SayAlive => world.server.say_alive(world.random.bool()),
            Self::Deliver => return deliver(world),
            Self::Tick => {
                let asked = world.random.u8(..4) == 0;
                return world.tick(asked);
            }
            Self::Connect => world.connect(),
            Self::LoseStream => {
                world.server.disconnect();
                world.subject.disconnect();
            }
            Self::CrashServer => {
                world.server.crash();
                world.subject.disconnect();
                world.interrupted();
                world.stats.server_crashes += 1;
            }
            Self::KillRelay => {
                world.replace_relay();
                world.interrupted();
                world.stats.kills += 1;
            }
            Self::StopRelay => return stop_relay(world),
            Self::CommitLetters => world.commit_letters(),
            Self::AnswerLetters => world.answer_letters(),
            Self::Redrive => world.table.redrive(),
            Self::WriteNotes => world.write_notes(),
            Self::AnswerNotes => world.notes.answer(),
            Self::Discard => world.discard(),
            Self::GhostLetters => world.ghost_letters(),
            Self::WaitLong => world.now += Duration::from_secs([1, 40, 7_200][world.random.usize(..3)]),
            _ => self.happen_to_kafka(world),
        }
        Ok(())
    }

    fn happen_to_kafka(self, world: &mut World) {
        let partition = any_partition(&mut world.random);
        let producer = world.producer();
        let mut producer = producer.borrow_mut();
        match self {
            Self::Transmit => producer.transmit(partition, &mut world.random),
            Self::Handle => producer.handle(partition, &mut world.cluster.borrow_mut()),
            Self::Respond => producer.respond(partition),
            Self::AnswerCount => producer.answer_count(),
            Self::LoseAnswers => {
                producer.disconnect(partition);
                world.stats.lost_answers += 1;
            }
            Self::RefuseBatch => {
                let code = REFUSALS[world.random.usize(..REFUSALS.len())];
                let batches = world.random.u32(1..6);
                world.set_mood(partition.0, Answer::Refused(code), batches);
            }
            Self::RefuseForNow => {
                let batches = world.random.u32(1..6);
                world.set_mood(partition.0, Answer::Later, batches);
            }
            Self::PoisonRow => {
                let mut cluster = world.cluster.borrow_mut();
                cluster.poison = another(cluster.poison, cluster.judge.rows(), &mut world.random);
            }
            Self::BreakProducer => {
                let code = [Code::OutOfOrderSequenceNumber, Code::UnknownProducerId];
                producer.die(code[world.random.usize(..2)]);
            }
            // A relay that halts at it would stand until everything is mended.
            Self::RefuseLocally if !world.sets_aside() => {}
            Self::RefuseLocally => {
                let newest = world.cluster.borrow().judge.rows();
                let before = *world.too_large.borrow();
                *world.too_large.borrow_mut() = another(before, newest, &mut world.random);
            }
            Self::FillQueue => producer.set_full(world.random.bool()),
            Self::Ghost => {
                let arrives = world.random.u8(..4) > 0;
                world.cluster.borrow_mut().ghost(partition, arrives);
            }
            other => unreachable!("{other:?} does not happen to Kafka"),
        }
    }
}

impl PartialOrd for Action {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some((*self as u32).cmp(&(*other as u32)))
    }
}

/// Which row is refused: one that is still to be written; or none any more; or the same as before.
fn another(before: Option<u32>, rows: u64, random: &mut Rng) -> Option<u32> {
    let newest = u32::try_from(rows).unwrap_or(u32::MAX);
    match before {
        Some(row) if row > newest || random.u8(..12) > 0 => before,
        Some(_) if random.bool() => None,
        _ => Some(newest + random.u32(1..8)),
    }
}

fn any_partition(random: &mut Rng) -> Partition {
    let all: Vec<Partition> = Cluster::partitions().collect();
    all[random.usize(..all.len())]
}

fn commit(world: &mut World) {
    let rows = [0, 1, 1, 1, 2, 3, 5, 9][world.random.usize(..8)];
    let transaction = world.server.commit(rows, &mut world.random);
    world.cluster.borrow_mut().judge.committed(&transaction);
}

fn deliver(world: &mut World) -> Result<(), Violation> {
    if !world.subject.is_connected() {
        return Ok(());
    }
    let bytes = [1, 40, 200, 2_000][world.random.usize(..4)];
    let bytes = world.server.deliver(world.random.usize(..=bytes));
    world.subject.feed(&bytes)
}

/// SIGTERM to a relay whose brokers are well: it drains to a commit boundary, confirms, and a new one starts.
fn stop_relay(world: &mut World) -> Result<(), Violation> {
    {
        let mut cluster = world.cluster.borrow_mut();
        (cluster.mood, cluster.poison) = (None, None);
        *world.too_large.borrow_mut() = None;
    }
    world.producer().borrow_mut().set_full(false);
    // A stream has to be there, or there is nothing to confirm on.
    world.go_on()?;
    world.subject.drain();
    for _ in 0..DRAIN_ROUNDS_MAX {
        world.go_on()?;
        if world.subject.is_drained() {
            world.tick(true)?;
            world.cluster.borrow_mut().judge.stopped(world.server.confirmed());
            world.judge()?;
            world.replace_relay();
            world.stats.clean_stops += 1;
            return Ok(());
        }
    }
    Err(Violation("stuck: the drain did not end".to_owned()))
}

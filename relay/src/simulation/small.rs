//! A world that is small enough for all of its states: each step happens in one way, and the clock stands still.
//!
//! What chance decides elsewhere is fixed: a batch takes all that waits, and every transaction but the first of a
//! connection has a keepalive inside. Brokers refuse nothing, so that there is one producer for each process.

use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;
use outbox_decoder::stream::split_frame;

use super::actions::Action;
use super::cluster::Partition;
use super::judge::Violation;
use super::subject::FRAME_BYTES_MAX;
use super::world::World;

/// The keys of each transaction's rows. Key 0 belongs to partition 1, and key 3 to partition 0: in each of them are two
/// rows whose order matters, and the second transaction can overtake a row of the first.
const TRANSACTIONS: [&[u8]; 3] = [&[0, 3], &[0], &[3]];
/// Decides what the models leave to chance. Its first numbers make it what the head of this file says; with another one
/// there are more states or fewer, and none that is wrong.
pub(super) const SEED: u64 = 73;

/// What can happen, and each of it in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    ConnectInSilence,
    Deliver,
    SayAlive,
    Tick,
    Checkpoint,
    Transmit(usize),
    Handle(usize),
    Respond(usize),
    LoseAnswers(usize),
    ArriveLate(usize),
    /// From here on: crashes.
    LoseStream,
    KillRelay,
    CrashServer,
}

pub(super) const STEPS: [Step; 19] = [
    Step::Connect,
    Step::ConnectInSilence,
    Step::Deliver,
    Step::SayAlive,
    Step::Tick,
    Step::Checkpoint,
    Step::Transmit(0),
    Step::Transmit(1),
    Step::Handle(0),
    Step::Handle(1),
    Step::Respond(0),
    Step::Respond(1),
    Step::LoseAnswers(0),
    Step::LoseAnswers(1),
    Step::ArriveLate(0),
    Step::ArriveLate(1),
    Step::LoseStream,
    Step::KillRelay,
    Step::CrashServer,
];

impl Step {
    pub(super) const fn is_crash(self) -> bool {
        matches!(self, Self::LoseStream | Self::KillRelay | Self::CrashServer)
    }
}

/// All rows have one topic.
const fn partition(number: usize) -> Partition {
    (0, number)
}

/// A world of which every state is visited.
pub(super) struct Small {
    world: World,
    crashes_left: u32,
}

impl Small {
    /// Everything is committed, and nobody is connected.
    pub(super) fn beside(first: &World, crashes: u32) -> Self {
        fastrand::seed(SEED);
        let mut world = first.anew();
        world.random = Rng::with_seed(SEED);
        for keys in TRANSACTIONS {
            let rows: Vec<(u8, u8)> = keys.iter().map(|key| (0, *key)).collect();
            let transaction = world.server.commit_rows(&rows, &mut world.random);
            world.cluster.borrow_mut().judge.committed(&transaction);
        }
        world.server.write_foreign(&mut world.random);
        Self {
            world,
            crashes_left: crashes,
        }
    }

    pub(super) fn is_possible(&self, step: Step) -> bool {
        let (server, subject) = (&self.world.server, &self.world.subject);
        let (is_connected, is_held_up) = (subject.is_connected(), subject.is_held_up());
        let is_on_its_way = !server.wire().is_empty();
        let waiting = |number| self.world.producer().borrow().waiting(partition(number));
        match step {
            Step::Connect | Step::ConnectInSilence => !is_connected,
            Step::Deliver => is_connected && (is_held_up || is_on_its_way || server.has_more()),
            Step::SayAlive => is_connected && !is_held_up && !is_on_its_way,
            Step::Tick => true,
            // What is on the disk matters to those who can still crash.
            Step::Checkpoint => self.crashes_left > 0 && server.on_disk() != server.confirmed(),
            Step::Transmit(number) => waiting(number)[0],
            Step::Handle(number) => waiting(number)[1],
            Step::Respond(number) | Step::LoseAnswers(number) => waiting(number)[2],
            Step::ArriveLate(number) => {
                let cluster = self.world.cluster.borrow();
                !cluster.telling_ghosts(partition(number)).is_empty()
            }
            Step::LoseStream => self.crashes_left > 0 && is_connected,
            Step::KillRelay | Step::CrashServer => self.crashes_left > 0,
        }
    }

    /// # Errors
    /// A promise that did not hold.
    pub(super) fn go(&mut self, step: Step) -> Result<(), Violation> {
        let now = self.world.now;
        self.world.random = Rng::with_seed(SEED);
        if step.is_crash() {
            self.crashes_left = self.crashes_left.saturating_sub(1);
        }
        happen(step, &mut self.world)?;
        // Brokers say at once how many partitions there are; it is heard with the next tick.
        self.world.producer().borrow_mut().answer_count();
        self.world.now = now;
        if self.is_finished() {
            self.world.cluster.borrow_mut().judge.finished();
        }
        self.world.judge()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.world.server.confirmed() == self.world.server.wal_end()
    }

    /// States with the same one go on in the same way.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.world.digest(&mut hasher);
        let on_disk = (self.crashes_left > 0).then(|| self.world.server.on_disk());
        (self.crashes_left, on_disk).hash(&mut hasher);
        hasher.finish()
    }
}

fn happen(step: Step, world: &mut World) -> Result<(), Violation> {
    match step {
        Step::Connect => {
            world.connect_to(true);
            return arrive(world, usize::MAX);
        }
        Step::ConnectInSilence => world.connect_to(false),
        Step::Deliver => return deliver(world),
        Step::SayAlive => return say_alive(world),
        // A status update is due whenever it is asked for: time need not go on for it.
        Step::Tick => return world.tick(true),
        Step::Transmit(number) => world
            .producer()
            .borrow_mut()
            .transmit(partition(number), &mut world.random),
        Step::Handle(number) => {
            let mut cluster = world.cluster.borrow_mut();
            world.producer().borrow_mut().handle(partition(number), &mut cluster);
        }
        Step::Respond(number) => world.producer().borrow_mut().respond(partition(number)),
        Step::LoseAnswers(number) => world.producer().borrow_mut().disconnect(partition(number)),
        Step::ArriveLate(number) => world.cluster.borrow_mut().ghost(partition(number), true),
        Step::Checkpoint => world.server.checkpoint(),
        Step::LoseStream => return Action::LoseStream.happen(world),
        Step::KillRelay => return Action::KillRelay.happen(world),
        Step::CrashServer => return Action::CrashServer.happen(world),
    }
    Ok(())
}

fn say_alive(world: &mut World) -> Result<(), Violation> {
    world.server.say_alive(false);
    arrive(world, usize::MAX)
}

/// The next piece: what could not be dealt with before, or the rest of a transaction, or the next one up to its cut.
fn deliver(world: &mut World) -> Result<(), Violation> {
    if world.subject.is_held_up() {
        return world.subject.feed(&[]);
    }
    if !world.server.wire().is_empty() {
        return arrive(world, usize::MAX);
    }
    world.server.stream(&mut world.random);
    let bytes = up_to_the_cut(world.server.wire());
    arrive(world, bytes)
}

fn arrive(world: &mut World, bytes: usize) -> Result<(), Violation> {
    let bytes = world.server.deliver(bytes);
    world.subject.feed(&bytes)
}

/// A transaction with several rows is cut behind the first one.
fn up_to_the_cut(wire: &[u8]) -> usize {
    let (mut ends_of_rows, mut at) = (Vec::new(), 0);
    while let Ok(Some(frame)) = split_frame(&wire[at..], FRAME_BYTES_MAX) {
        at += frame.bytes;
        // Behind the head of a message of the plugin, an insert.
        if frame.body.get(25) == Some(&b'I') {
            ends_of_rows.push(at);
        }
    }
    match ends_of_rows[..] {
        [first, _, ..] => first,
        _ => wire.len(),
    }
}

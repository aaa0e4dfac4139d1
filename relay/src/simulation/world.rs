//! One run: a server, a cluster, a relay, and steps that a seed chooses.

use std::cell::RefCell;
use std::fmt;
use std::hash::Hasher;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::actions::{Action, Faults};
use super::cluster::{Answer, Cluster};
use super::judge::Violation;
use super::mutation::Mutation;
use super::notes::Notes;
use super::producer::{Inside, Simulated};
use super::server::Server;
use super::subject::{IN_FLIGHT_MAX, Subject};
use super::table::Table;
use crate::config::Settings;
use crate::config::trial::Trial;
use crate::delivery_state::Journal;
use crate::kafka::simulated::{FOLLOWERS_GO_ON, NOBODY_IS_INTRODUCED};
use crate::pipeline::DefectPolicy;
use crate::telemetry::Metrics;

/// After everything is mended the rest must be done in so many rounds.
const ROUNDS_MAX: u32 = 3_000;
const TICK: Duration = Duration::from_millis(100);

/// Everything that a run depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) steps: u32,
    /// Which faults may happen.
    pub(super) faults: Faults,
}

impl Plan {
    /// Each seed leaves out some kinds of fault: where everything happens all the time, nothing ever comes far.
    pub(super) fn of(seed: u64, steps: u32) -> Self {
        let faults = Rng::with_seed(seed).u32(..);
        // A letter has a long way from its row to its redrive.
        let steps = if sets_aside(seed) { 3 * steps } else { steps };
        Self { seed, steps, faults }
    }

    pub(super) fn replay_line(&self) -> String {
        format!("PLAN={self} cargo test -p outbox-relay --lib simulation::replay -- --ignored --nocapture")
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.seed, self.steps, self.faults)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Vec<u64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
        let [seed, steps, faults] = numbers[..] else {
            return Err(format!("{text} is not seed,steps,faults"));
        };
        let steps = u32::try_from(steps).map_err(|error| error.to_string())?;
        let faults = Faults::try_from(faults).map_err(|error| error.to_string())?;
        Ok(Self { seed, steps, faults })
    }
}

/// What the runs came to: a simulation that reaches nothing proves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) kills: u64,
    pub(super) clean_stops: u64,
    pub(super) reconnects: u64,
    pub(super) server_crashes: u64,
    pub(super) rebuilds: u64,
    pub(super) refusals: u64,
    pub(super) lost_answers: u64,
    pub(super) late_batches: u64,
    pub(super) letters: u64,
    pub(super) given_up: u64,
    pub(super) redriven: u64,
    pub(super) redrives_failed: u64,
    pub(super) discarded: u64,
    pub(super) noted: u64,
}

impl Stats {
    fn parts(&self) -> [(&'static str, u64); 16] {
        [
            ("rows", self.rows),
            ("duplicates", self.duplicates),
            ("kills", self.kills),
            ("clean_stops", self.clean_stops),
            ("reconnects", self.reconnects),
            ("server_crashes", self.server_crashes),
            ("producer_rebuilds", self.rebuilds),
            ("refusals", self.refusals),
            ("lost_answers", self.lost_answers),
            ("late_batches", self.late_batches),
            ("letters", self.letters),
            ("given_up", self.given_up),
            ("redriven", self.redriven),
            ("redrives_failed", self.redrives_failed),
            ("discarded", self.discarded),
            ("noted", self.noted),
        ]
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.duplicates += other.duplicates;
        self.kills += other.kills;
        self.clean_stops += other.clean_stops;
        self.reconnects += other.reconnects;
        self.server_crashes += other.server_crashes;
        self.rebuilds += other.rebuilds;
        self.refusals += other.refusals;
        self.lost_answers += other.lost_answers;
        self.late_batches += other.late_batches;
        self.letters += other.letters;
        self.given_up += other.given_up;
        self.redriven += other.redriven;
        self.redrives_failed += other.redrives_failed;
        self.discarded += other.discarded;
        self.noted += other.noted;
    }

    /// What never happened.
    pub(super) fn unreached(&self) -> Vec<&'static str> {
        let parts = self.parts().into_iter();
        parts.filter(|(_, times)| *times == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts().map(|(name, times)| format!("{name}={times}"));
        f.write_str(&parts.join(" "))
    }
}

/// Every other world sets aside what cannot be published.
const fn sets_aside(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// In some worlds of either kind deliveries are noted.
const fn keeps_notes(seed: u64) -> bool {
    seed % 3 == 2
}

pub(super) struct World {
    pub(super) random: Rng,
    pub(super) server: Server,
    pub(super) cluster: Rc<RefCell<Cluster>>,
    pub(super) subject: Subject,
    pub(super) stats: Stats,
    pub(super) now: Instant,
    pub(super) table: Table,
    pub(super) notes: Notes,
    /// A row that the producer does not take.
    pub(super) too_large: Rc<RefCell<Option<u32>>>,
    keeps_notes: bool,
    producers: Simulated,
    settings: Rc<Settings>,
    metrics: Arc<Metrics>,
}

impl World {
    /// # Errors
    /// An invariant that did not hold.
    pub(super) fn run(plan: &Plan, mutation: Option<Mutation>) -> Result<Stats, Violation> {
        let mut world = Self::new(plan.seed, mutation);
        for step in 0..plan.steps {
            // Each step has a chance of its own: one that is left out does not change those after it.
            world.random = Rng::with_seed(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(step));
            let action = Action::choose(&mut world.random);
            if action.is_allowed(plan.faults) {
                action.happen(&mut world)?;
            }
            world.judge()?;
        }
        world.mend()?;
        Ok(world.stats)
    }

    pub(super) fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        // Whatever makes a generator of its own makes it from this one.
        fastrand::seed(seed);
        let policy = if sets_aside(seed) { "set_aside" } else { "halt" };
        // Half of them at the first refusal.
        let attempts = if seed.is_multiple_of(4) { 1 } else { 3 };
        let trial = Trial::minimal()
            .flag(&format!("outbox.default.on_defect={policy}"))
            .flag(&format!("retry.attempts={attempts}"));
        let settings = trial.load().expect("no error").settings;
        let mut world = Self::with(Rc::new(settings), Arc::default(), mutation);
        if keeps_notes(seed) {
            world.keeps_notes = true;
            world.cluster.borrow_mut().judge.expect_notes();
            world.renew_subject();
        }
        world
    }

    /// Another one in which nothing has happened yet. To read the settings again would take longer than a hundred steps.
    pub(super) fn anew(&self) -> Self {
        let (settings, metrics) = (Rc::clone(&self.settings), Arc::clone(&self.metrics));
        Self::with(settings, metrics, self.producers.mutation)
    }

    fn with(settings: Rc<Settings>, metrics: Arc<Metrics>, mutation: Option<Mutation>) -> Self {
        let cluster = Rc::<RefCell<Cluster>>::default();
        NOBODY_IS_INTRODUCED.set(mutation == Some(Mutation::IsNotIntroduced));
        FOLLOWERS_GO_ON.set(mutation == Some(Mutation::LeavesFollowersOnTheirWay));
        let producers = Simulated {
            cluster: Rc::clone(&cluster),
            newest: Rc::default(),
            made: Rc::default(),
            mutation,
            too_large: Rc::default(),
        };
        let now = Instant::now();
        let subject = Subject::new(producers.clone(), &settings, &metrics, None, now);
        Self {
            random: Rng::with_seed(0),
            server: Server::new(),
            cluster,
            subject,
            stats: Stats::default(),
            now,
            table: Table::with(mutation),
            notes: Notes::with(mutation),
            keeps_notes: false,
            too_large: Rc::clone(&producers.too_large),
            producers,
            settings,
            metrics,
        }
    }

    /// The producer in use, or the last one that was.
    pub(super) fn producer(&self) -> Rc<RefCell<Inside>> {
        let newest = self.producers.newest.borrow();
        Rc::clone(newest.as_ref().expect("there is one from the start"))
    }

    /// `kill -9`, and a new process.
    pub(super) fn replace_relay(&mut self) {
        self.server.disconnect();
        self.table.relay_is_gone();
        self.renew_subject();
    }

    fn renew_subject(&mut self) {
        let (journal, queue) = self.keeps_notes.then(Journal::simulated).unzip();
        let arrives = self.keeps_notes && self.random.bool();
        self.notes.follow(queue, arrives, &mut self.cluster.borrow_mut().judge);
        self.subject = Subject::new(self.producers.clone(), &self.settings, &self.metrics, journal, self.now);
    }

    /// A fault after which something may come again.
    pub(super) fn interrupted(&mut self) {
        self.cluster.borrow_mut().judge.interrupted(self.server.confirmed());
    }

    pub(super) fn tick(&mut self, asked: bool) -> Result<(), Violation> {
        self.now += TICK;
        let arrival = self.producer().borrow().newest_arrival;
        let status = self.subject.tick(asked, &self.server, arrival, self.now);
        if let Some(ask) = self.subject.next_ask(self.table.has_marked()) {
            self.table.ask(ask);
        }
        let Some(status) = status else { return Ok(()) };
        if let Some(confirmed) = self.server.status(status.flushed).map_err(Violation)? {
            let told = self.server.told_max();
            self.cluster.borrow_mut().judge.confirmed(confirmed, told);
        }
        Ok(())
    }

    /// Notes of deliveries come a step further.
    pub(super) fn write_notes(&mut self) {
        self.notes.write(&mut self.cluster.borrow_mut().judge);
    }

    /// What was asked of the table of dead letters is done.
    pub(super) fn commit_letters(&mut self) {
        self.table
            .execute(&mut self.server, &mut self.cluster.borrow_mut().judge);
    }

    /// Its answer arrives.
    pub(super) fn answer_letters(&mut self) {
        if let Some(answer) = self.table.answer() {
            self.subject.answered(answer);
        }
    }

    /// What a relay asked that is gone is done, or is not.
    pub(super) fn ghost_letters(&mut self) {
        let arrives = self.random.bool();
        let judge = &mut self.cluster.borrow_mut().judge;
        self.table.execute_ghost(arrives, &mut self.server, judge);
    }

    /// Whether what cannot be published becomes a dead letter.
    pub(super) fn sets_aside(&self) -> bool {
        self.settings
            .outbox
            .values()
            .any(|outbox| outbox.on_defect != DefectPolicy::Halt)
    }

    /// Somebody lets a letter go.
    pub(super) fn discard(&mut self) {
        self.table.discard(&mut self.cluster.borrow_mut().judge);
    }

    pub(super) fn connect(&mut self) {
        if !self.subject.is_connected() {
            let greets = self.random.bool();
            self.connect_to(greets);
        }
    }

    /// A connection to a server that greets, or that does not.
    pub(super) fn connect_to(&mut self, greets: bool) {
        self.table.is_claimed();
        let standing = self.table.standing(self.server.confirmed(), self.server.wal_end());
        self.server.start(greets);
        self.subject.connect(standing, self.now);
        self.stats.reconnects += 1;
    }

    /// What decides how it goes on: two worlds with the same one have the same future.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        let newest = *self.producers.made.borrow();
        self.server.digest(hasher);
        self.cluster.borrow().digest(newest, hasher);
        self.producer().borrow().digest(hasher);
        self.subject.digest(hasher);
    }

    pub(super) fn judge(&self) -> Result<(), Violation> {
        let in_flight = self.subject.in_flight_records();
        if in_flight > IN_FLIGHT_MAX {
            return Err(Violation(format!("unbounded: {in_flight} records in flight")));
        }
        self.cluster.borrow().judge.verdict()
    }

    /// One round in which everything works.
    pub(super) fn go_on(&mut self) -> Result<(), Violation> {
        self.connect();
        self.server.stream(&mut self.random);
        self.server.say_alive(false);
        let bytes = self.server.deliver(usize::MAX);
        self.subject.feed(&bytes)?;
        self.serve();
        self.commit_letters();
        self.answer_letters();
        self.write_notes();
        self.notes.answer();
        // Whoever waits for a producer, a count or a schedule has waited long enough.
        self.now += Duration::from_secs(1);
        self.tick(false)?;
        self.judge()
    }

    /// The brokers deal with everything that is sent to them.
    fn serve(&mut self) {
        let producer = self.producer();
        let mut inside = producer.borrow_mut();
        inside.answer_count();
        for partition in Cluster::partitions() {
            inside.transmit(partition, &mut self.random);
            inside.handle(partition, &mut self.cluster.borrow_mut());
            inside.respond(partition);
        }
    }

    /// Nothing goes wrong any more: everything must become readable, and be confirmed to the end.
    fn mend(&mut self) -> Result<(), Violation> {
        {
            let mut cluster = self.cluster.borrow_mut();
            (cluster.mood, cluster.poison) = (None, None);
            *self.too_large.borrow_mut() = None;
        }
        for _ in 0..ROUNDS_MAX {
            self.producer().borrow_mut().set_full(false);
            self.table.redrive();
            self.go_on()?;
            if self.server.confirmed() == self.server.wal_end() && self.table.is_resolved() {
                return self.finish();
            }
        }
        Err(Violation(format!(
            "stuck: {} is confirmed of {}, {} records are in flight",
            self.server.confirmed(),
            self.server.wal_end(),
            self.subject.in_flight_records()
        )))
    }

    fn finish(&mut self) -> Result<(), Violation> {
        let mut cluster = self.cluster.borrow_mut();
        cluster.judge.finished();
        self.stats.rows = cluster.judge.rows();
        self.stats.duplicates = cluster.judge.duplicates();
        self.stats.refusals = cluster.refused;
        self.stats.late_batches = cluster.ghosts_taken;
        self.stats.letters = self.table.letters();
        self.stats.given_up = self.table.given_up();
        self.stats.redriven = self.table.redriven;
        self.stats.redrives_failed = self.table.returned;
        self.stats.discarded = self.table.discarded;
        self.stats.noted = self.notes.written;
        self.stats.rebuilds = self.metrics.producer_rebuilds.get();
        cluster.judge.verdict()
    }

    /// What the brokers say to the next batches of a topic.
    pub(super) fn set_mood(&mut self, topic: u8, answer: Answer, batches: u32) {
        self.cluster.borrow_mut().mood = Some((topic, answer, batches));
    }
}

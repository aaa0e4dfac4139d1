//! The relay's state, by name: what `/readyz` says, what one gauge says, and one log line for every change.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::fault::{Fault, FaultKind};

/// Every fault is tried again for ever; what to do about it says the fault itself.
const WAITING: &str = "the relay tries again by itself; a changed configuration counts after a restart\n";

/// What the whole relay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A server is not reached yet, or not any more; tried again.
    Connecting,
    /// Another relay holds the slot; this one waits for it.
    Standby,
    /// What should pass by itself has lasted too long; tried again all the same.
    Degraded,
    /// Events flow.
    Streaming,
    /// Somebody has to act; the reason says who and how.
    Halted,
    /// Stopping: what is in flight is waited for.
    Draining,
}

impl Phase {
    /// Every phase, for the gauge.
    pub const ALL: [Self; 6] = [
        Self::Connecting,
        Self::Standby,
        Self::Degraded,
        Self::Streaming,
        Self::Halted,
        Self::Draining,
    ];

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::Degraded => "degraded",
            Self::Streaming => "streaming",
            Self::Halted => "halted",
            Self::Draining => "draining",
        }
    }
}

const PARTS: usize = 7;

/// Parts that have a condition of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The replication stream.
    Postgres,
    /// The brokers.
    Kafka,
    /// The line of events, halted by what the brokers said to it.
    Line,
    /// The next row of the stream, which may not fit its mapping.
    Row,
    /// The table of dead letters.
    DeadLetters,
    /// The table of what becomes of events.
    DeliveryState,
    /// What somebody has stopped on purpose.
    Pause,
}

impl Part {
    const ALL: [Self; PARTS] = [
        Self::Postgres,
        Self::Kafka,
        Self::Line,
        Self::Row,
        Self::DeadLetters,
        Self::DeliveryState,
        Self::Pause,
    ];

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Line => "line",
            Self::Row => "row",
            Self::DeadLetters => "dead_letters",
            Self::DeliveryState => "delivery_state",
            Self::Pause => "pause",
        }
    }
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Not known yet.
    #[default]
    Starting,
    /// As it should be.
    Up,
    /// Not as it should be, or another relay's turn.
    Down(Fault),
}

#[derive(Debug)]
struct Board {
    conditions: [Condition; PARTS],
    /// Since when each part has had something that should pass by itself.
    troubled: [Option<Trouble>; PARTS],
    degraded_after: Duration,
    letters: Letters,
    draining: bool,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    since: Instant,
    /// Somebody has been told that it lasts.
    is_told: bool,
}

/// The state of the whole relay. Clones show the same state.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<Board>>);

/// Dead letters that somebody has to decide about. They keep nothing else from flowing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Letters {
    /// That are neither published nor discarded.
    pub unresolved: usize,
    /// Keys whose later events wait behind one.
    pub parked_keys: usize,
}

/// The state at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the relay is doing.
    pub phase: Phase,
    /// Why it is not streaming.
    pub faults: Vec<(Part, Fault)>,
    /// What is set aside.
    pub letters: Letters,
    /// For how long nothing has changed.
    pub unchanged_ms: u128,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(Duration::from_mins(5))
    }
}

impl Health {
    /// Nothing is known yet. What should pass by itself and lasts longer than this is a state of its own.
    pub fn new(degraded_after: Duration) -> Self {
        let mut conditions = [const { Condition::Up }; PARTS];
        for part in [Part::Postgres, Part::Kafka] {
            conditions[part as usize] = Condition::Starting;
        }
        Self(Arc::new(Mutex::new(Board {
            conditions,
            troubled: [None; PARTS],
            degraded_after,
            letters: Letters::default(),
            draining: false,
            since: Instant::now(),
        })))
    }

    /// Sets a part's condition, and logs it when it is another than before.
    pub fn set(&self, part: Part, condition: Condition) {
        let mut board = self.board();
        board.note_trouble(part, &condition);
        let before = &mut board.conditions[part as usize];
        if same(before, &condition) {
            *before = condition;
            return;
        }
        let was_wrong = matches!(before, Condition::Down(fault) if fault.kind() != FaultKind::Standby);
        log_change(part, was_wrong, &condition);
        *before = condition;
        board.since = Instant::now();
    }

    /// Tells once of each part's trouble that it lasts. To be called now and then.
    pub fn tell_what_lasts(&self) {
        let mut board = self.board();
        for part in Part::ALL {
            if !board.lasts(part) {
                continue;
            }
            let Board {
                conditions, troubled, ..
            } = &mut *board;
            if let (Some(trouble @ Trouble { is_told: false, .. }), Condition::Down(fault)) =
                (&mut troubled[part as usize], &conditions[part as usize])
            {
                let (part, seconds) = (part.name(), trouble.since.elapsed().as_secs());
                error!(part, code = fault.code.name(), seconds, next = %fault.hint, "degraded: {}", fault.message);
                trouble.is_told = true;
            }
        }
    }

    /// So much is set aside.
    pub fn set_letters(&self, letters: Letters) {
        self.board().letters = letters;
    }

    /// From now on the relay is stopping.
    pub fn set_draining(&self) {
        let mut board = self.board();
        board.draining = true;
        board.since = Instant::now();
    }

    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        let board = self.board();
        let faults: Vec<(Part, Fault)> = Part::ALL
            .into_iter()
            .filter_map(|part| match &board.conditions[part as usize] {
                Condition::Down(fault) => Some((part, fault.clone())),
                _ => None,
            })
            .collect();
        let phase = phase(&board, &faults);
        Snapshot {
            phase,
            faults,
            letters: board.letters,
            unchanged_ms: board.since.elapsed().as_millis(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// For people: the phase, and each fault with its hint.
    pub fn describe(&self) -> String {
        let mut text = format!("{}\n", self.phase.name());
        for (_, fault) in &self.faults {
            let _ = writeln!(text, "{}: {}\n  next: {}", fault.code, fault.message, fault.hint);
        }
        if matches!(self.phase, Phase::Connecting | Phase::Degraded | Phase::Halted) && !self.faults.is_empty() {
            text.push_str(WAITING);
        }
        let Letters {
            unresolved,
            parked_keys,
        } = self.letters;
        if unresolved > 0 {
            let _ = writeln!(
                text,
                "dead letters: {unresolved} not resolved, {parked_keys} parked keys\n  next: `outbox-relay dead-letters list`"
            );
        }
        text
    }
}

impl Board {
    /// Another fault of the same kind does not start the clock anew: it would never be over.
    fn note_trouble(&mut self, part: Part, condition: &Condition) {
        let is_trouble = matches!(condition, Condition::Down(fault) if fault.kind() == FaultKind::Transient);
        let troubled = &mut self.troubled[part as usize];
        if is_trouble {
            troubled.get_or_insert(Trouble {
                since: Instant::now(),
                is_told: false,
            });
        } else {
            *troubled = None;
        }
    }

    fn lasts(&self, part: Part) -> bool {
        self.troubled[part as usize].is_some_and(|trouble| trouble.since.elapsed() >= self.degraded_after)
    }
}

fn phase(board: &Board, faults: &[(Part, Fault)]) -> Phase {
    let any = |kind| faults.iter().any(|(_, fault)| fault.kind() == kind);
    if board.draining {
        Phase::Draining
    } else if any(FaultKind::Environment) || any(FaultKind::EventDefect) {
        Phase::Halted
    } else if Part::ALL.into_iter().any(|part| board.lasts(part)) {
        Phase::Degraded
    } else if any(FaultKind::Standby) {
        Phase::Standby
    } else if !faults.is_empty() || board.conditions.contains(&Condition::Starting) {
        Phase::Connecting
    } else {
        Phase::Streaming
    }
}

/// The same for the log: details of a fault's message may change with every attempt.
fn same(before: &Condition, after: &Condition) -> bool {
    match (before, after) {
        (Condition::Down(before), Condition::Down(after)) => before.code == after.code,
        _ => before == after,
    }
}

fn log_change(part: Part, was_wrong: bool, condition: &Condition) {
    let part = part.name();
    match condition {
        Condition::Starting => {}
        Condition::Up if was_wrong => info!(part, "recovered"),
        Condition::Up => info!(part, "up"),
        Condition::Down(fault) => log_fault(part, fault),
    }
}

fn log_fault(part: &'static str, fault: &Fault) {
    let Fault { code, message, hint } = fault;
    let code = code.name();
    match fault.kind() {
        FaultKind::Standby => info!(part, code, next = %hint, "{message}"),
        FaultKind::Transient => warn!(part, code, next = %hint, "{message}"),
        FaultKind::Environment | FaultKind::EventDefect => error!(part, code, next = %hint, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultCode;

    #[test]
    fn the_phase_is_the_worst_that_is_known() {
        let health = Health::default();
        let phase = || health.snapshot().phase;
        assert_eq!(phase(), Phase::Connecting);
        health.set(Part::Postgres, Condition::Up);
        health.set(Part::Kafka, Condition::Up);
        assert_eq!(phase(), Phase::Streaming);
        health.set(
            Part::Postgres,
            Condition::Down(Fault::new(FaultCode::SlotActive, "m", "h")),
        );
        assert_eq!(phase(), Phase::Standby);
        health.set(
            Part::Kafka,
            Condition::Down(Fault::new(FaultCode::KafkaUnreachable, "m", "h")),
        );
        health.set(Part::Postgres, Condition::Up);
        assert_eq!(phase(), Phase::Connecting);
        health.set(
            Part::Line,
            Condition::Down(Fault::new(FaultCode::TopicMissing, "m", "h")),
        );
        assert_eq!(phase(), Phase::Halted);
        health.set_draining();
        assert_eq!(phase(), Phase::Draining);
    }

    #[test]
    fn what_should_pass_by_itself_and_lasts_is_a_state_of_its_own_until_it_has_passed() {
        let health = Health::new(Duration::ZERO);
        for part in [Part::Postgres, Part::Kafka] {
            health.set(part, Condition::Up);
        }
        let down = |code| Condition::Down(Fault::new(code, "m", "h"));
        health.set(Part::Kafka, down(FaultCode::KafkaUnreachable));
        assert_eq!(health.snapshot().phase, Phase::Degraded);
        health.set(Part::Line, down(FaultCode::TopicMissing));
        assert_eq!(health.snapshot().phase, Phase::Halted, "what needs somebody is worse");
        health.set(Part::Line, Condition::Up);
        health.set(Part::Kafka, Condition::Up);
        assert_eq!(health.snapshot().phase, Phase::Streaming);
        let patient = Health::default();
        patient.set(Part::Kafka, down(FaultCode::KafkaUnreachable));
        assert_eq!(patient.snapshot().phase, Phase::Connecting);
    }

    #[test]
    fn what_is_set_aside_is_told_while_events_flow() {
        let health = Health::default();
        for part in [Part::Postgres, Part::Kafka] {
            health.set(part, Condition::Up);
        }
        health.set_letters(Letters {
            unresolved: 3,
            parked_keys: 1,
        });
        assert_eq!(
            health.snapshot().describe(),
            "streaming\ndead letters: 3 not resolved, 1 parked keys\n  next: `outbox-relay dead-letters list`\n"
        );
        health.set_letters(Letters::default());
        assert_eq!(health.snapshot().describe(), "streaming\n");
    }

    #[test]
    fn the_description_says_what_and_what_to_do_next() {
        let health = Health::default();
        health.set(
            Part::Line,
            Condition::Down(Fault::new(FaultCode::TopicMissing, "no topic x", "create x")),
        );
        assert_eq!(
            health.snapshot().describe(),
            format!("halted\ntopic_missing: no topic x\n  next: create x\n{WAITING}")
        );
    }
}

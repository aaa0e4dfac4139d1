//! Asks the table of dead letters what the desk wants, on a connection of its own: nothing that takes long on another one
//! may hold up a letter. What fails is asked again for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::claim::Claim;
use super::desk::{Answer, Ask};
use super::herald::Herald;
use super::table::{Table, settle, write};
use crate::backoff::Backoff;
use crate::config::{Host, Settings};
use crate::fault::Fault;
use crate::postgres::{Control, PostgresError, fault};
use crate::telemetry::{Condition, Health, Part};

/// An answer that takes longer does not come.
const ANSWER_TIMEOUT_MS: u64 = 30_000;
const BACKOFF_MS: u64 = 100;
const BACKOFF_MAX_MS: u64 = 5_000;

/// Where the stream comes from: letters go there and nowhere else.
pub(crate) type Place = (Host, Option<std::net::SocketAddr>);

/// What a stream gives: the place, and the right to change letters there.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) place: Place,
    pub(crate) claim: Claim,
}

/// An owner, and its number in this process.
type Numbered = (u64, Owner);

/// The task that asks, until it is dropped.
#[derive(Debug)]
pub(crate) struct Clerk {
    asks: mpsc::Sender<Ask>,
    answers: mpsc::Receiver<Answer>,
    owner: watch::Sender<Numbered>,
    is_failing: Arc<AtomicBool>,
    /// The last owner whose claim another relay has taken.
    outrun: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Clerk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Clerk {
    /// Begins for one history of one server. Nothing is connected to before something is asked.
    pub(crate) fn start(settings: Arc<Settings>, system_identifier: u64, owner: Owner, health: Health) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let (answer, answers) = mpsc::channel(1);
        let (owner, owners) = watch::channel((1, owner));
        let is_failing = Arc::<AtomicBool>::default();
        let outrun = Arc::<AtomicU64>::default();
        let work = Work {
            settings,
            system_identifier,
            owners,
            number: 0,
            is_failing: Arc::clone(&is_failing),
            outrun: Arc::clone(&outrun),
            health,
            control: None,
            backoff: Backoff::jittered(BACKOFF_MS, BACKOFF_MAX_MS),
            herald: Herald::default(),
        };
        let task = tokio::spawn(work.run(asked, answer));
        Self {
            asks,
            answers,
            owner,
            is_failing,
            outrun,
            task,
        }
    }

    /// Another stream has begun.
    pub(crate) fn follow(&self, owner: Owner) {
        self.owner.send_modify(|(number, before)| {
            *number += 1;
            *before = owner;
        });
    }

    /// Another relay has begun on the slot: what is asked waits until the slot is this one's again.
    pub(crate) fn is_outrun(&self) -> bool {
        self.outrun.load(Ordering::Relaxed) == self.owner.borrow().0
    }

    /// Asks something.
    ///
    /// # Panics
    /// Something is being asked.
    pub(crate) fn ask(&self, ask: Ask) {
        self.asks.try_send(ask).expect("one thing is asked at a time");
    }

    /// The answer, if it has come.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// Waits for the answer, for ever if nothing is asked.
    pub(crate) async fn answered(&mut self) -> Answer {
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    /// What was asked last fails, and is asked again.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }
}

struct Work {
    settings: Arc<Settings>,
    system_identifier: u64,
    owners: watch::Receiver<Numbered>,
    /// Of the owner for whom the table was asked last.
    number: u64,
    is_failing: Arc<AtomicBool>,
    outrun: Arc<AtomicU64>,
    health: Health,
    control: Option<Control>,
    backoff: Backoff,
    herald: Herald,
}

impl Work {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>, answers: mpsc::Sender<Answer>) {
        while let Some(ask) = asked.recv().await {
            let answer = self.insist(&ask).await;
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    }

    /// Asks until there is an answer.
    async fn insist(&mut self, ask: &Ask) -> Answer {
        loop {
            match self.try_once(ask).await {
                Ok(Some(answer)) => {
                    self.backoff.reset();
                    self.show(None);
                    if let Ask::Write(letters) = ask {
                        self.herald.tell(letters);
                    }
                    return answer;
                }
                Ok(None) => self.wait_for_another_owner().await,
                Err(error) => {
                    self.control = None;
                    self.show(Some(fault(&error, &self.settings.postgres)));
                    tokio::time::sleep(self.backoff.next_wait()).await;
                }
            }
        }
    }

    async fn wait_for_another_owner(&mut self) {
        tracing::info!("another relay has begun on the slot: letters of this one wait until the slot is its own again");
        let number = self.number;
        self.outrun.store(number, Ordering::Relaxed);
        self.control = None;
        // The task ends with the clerk, which has the other end.
        let _ = self.owners.wait_for(|(now, _)| *now != number).await;
    }

    fn show(&self, fault: Option<Fault>) {
        self.is_failing.store(fault.is_some(), Ordering::Relaxed);
        let condition = fault.map_or(Condition::Up, |fault| {
            let message = format!("the table of dead letters cannot be reached: {}", fault.message);
            Condition::Down(Fault { message, ..fault })
        });
        self.health.set(Part::DeadLetters, condition);
    }

    async fn try_once(&mut self, ask: &Ask) -> Result<Option<Answer>, PostgresError> {
        let answered = timeout(Duration::from_millis(ANSWER_TIMEOUT_MS), self.execute(ask)).await;
        answered.unwrap_or(Err(PostgresError::TimedOut {
            what: "an answer of the table of dead letters",
            timeout_ms: ANSWER_TIMEOUT_MS,
        }))
    }

    /// `None` when another relay has taken the claim.
    async fn execute(&mut self, ask: &Ask) -> Result<Option<Answer>, PostgresError> {
        if self.owners.has_changed().unwrap_or(false) {
            self.control = None;
        }
        let (number, Owner { place, claim }) = self.owners.borrow_and_update().clone();
        self.number = number;
        let control = match self.control.take() {
            Some(control) if control.is_open() => control,
            _ => self.connect(&place).await?,
        };
        let table = Table {
            client: control.client(),
            settings: &self.settings,
            system_identifier: self.system_identifier,
            claim: &claim,
        };
        let answer = match ask {
            Ask::Write(letters) => write(&table, letters).await?.map(Answer::Written),
            Ask::Settle { redriven, returned } => {
                let settled = settle(&table, redriven, returned).await?;
                settled.map(|(resolved, freed)| Answer::Settled { resolved, freed })
            }
            Ask::Fetch { without } => Some(Answer::Fetched(table.fetch(without).await?)),
            Ask::Look(keys) => Some(Answer::Freed(table.without_letters(keys).await?)),
        };
        self.control = Some(control);
        Ok(answer)
    }

    /// To the server that the stream comes from, and to no other: a letter on another one would be none.
    async fn connect(&self, (host, address): &Place) -> Result<Control, PostgresError> {
        let control = Control::connect_exactly(&self.settings.postgres, host, *address, "dead letters").await?;
        // Whatever the role or the database say: a letter is not to be lost with a server that stops.
        control
            .client()
            .batch_execute("SET synchronous_commit = on; SET lock_timeout = '20s'")
            .await?;
        control.let_go_when_gone().await?;
        Ok(control)
    }
}

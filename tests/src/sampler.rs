//! Looks, all along, at what the slot has confirmed and what Kafka could already be asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use outbox_decoder::Lsn;

use crate::consumer::{Consumer, EndOffsets};
use crate::database::Database;
use crate::failure::{Failure, Outcome};

const INTERVAL: Duration = Duration::from_millis(100);

/// The slot first, the topics right after: whatever was confirmed had to be there by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// `confirmed_flush_lsn`.
    pub confirmed: Lsn,
    /// What could be read then.
    pub readable: EndOffsets,
}

/// What to look at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// How to reach the server of the slot.
    pub conninfo: String,
    /// The slot.
    pub slot: String,
    /// The brokers.
    pub bootstrap_servers: String,
}

/// Takes samples until it is stopped.
pub struct Sampler {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    topics: Vec<String>,
    samples: Vec<Sample>,
    stopping: bool,
}

impl Sampler {
    /// Starts a thread.
    pub fn start(subject: Subject) -> Sampler {
        let state = Arc::<Mutex<State>>::default();
        let seen = Arc::clone(&state);
        let thread = thread::spawn(move || {
            while !lock(&seen).stopping {
                // A server that is away is a part of many scenarios.
                let _ = take_samples(&subject, &seen);
                thread::sleep(INTERVAL);
            }
        });
        Sampler {
            state,
            thread: Some(thread),
        }
    }

    /// Looks at one more topic from now on.
    pub fn add_topic(&self, topic: &str) {
        lock(&self.state).topics.push(topic.to_owned());
    }

    /// Stops and returns what was seen.
    ///
    /// # Errors
    /// Nothing was ever seen.
    pub fn stop(&mut self) -> Outcome<Vec<Sample>> {
        self.end();
        let samples = std::mem::take(&mut lock(&self.state).samples);
        if samples.is_empty() {
            return Err(Failure::new("the sampler saw nothing"));
        }
        Ok(samples)
    }

    fn end(&mut self) {
        lock(&self.state).stopping = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes one sample.
///
/// # Errors
/// A server does not answer, or there is no such slot.
pub fn sample(database: &Database, consumer: &Consumer, slot: &str, topics: &[String]) -> Outcome<Sample> {
    let confirmed = database.confirmed(slot)?;
    let confirmed = confirmed.ok_or_else(|| Failure::new(format!("there is no slot {slot}")))?;
    let readable = consumer.end_offsets(topics)?;
    Ok(Sample { confirmed, readable })
}

/// Until it is stopped or a server goes away.
fn take_samples(subject: &Subject, state: &Mutex<State>) -> Outcome {
    let database = Database::connect(&subject.conninfo)?;
    let consumer = Consumer::new(&subject.bootstrap_servers)?;
    while !lock(state).stopping {
        let topics = lock(state).topics.clone();
        let sample = sample(&database, &consumer, &subject.slot, &topics)?;
        let mut state = lock(state);
        // A topic that came meanwhile was not looked at.
        if state.topics == topics && state.samples.last() != Some(&sample) {
            state.samples.push(sample);
        }
        drop(state);
        thread::sleep(INTERVAL);
    }
    Ok(())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

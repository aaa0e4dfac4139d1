//! What Kafka holds: the events of the topics, from a time on.

use std::ops::ControlFlow;
use std::sync::Arc;

use outbox_decoder::{Timestamp, TopicName};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::super::{Failure, Refusal};
use super::ids::{Ids, fingerprint};
use crate::config::KafkaSettings;
use crate::fault::Fault;
use crate::kafka::{Compaction, ReadBack, Stretch, TopicReader, compaction};

/// The events that were found.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) ids: Ids,
    pub(super) topics: Vec<HeldTopic>,
    /// What was read of each partition.
    pub(super) stretches: Vec<Stretch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct HeldTopic {
    pub(super) topic: String,
    /// Records, also those that are no events.
    pub(super) records: u64,
    /// What was removed may have been published. Null where the brokers do not say whether they do.
    pub(super) compacted: Option<bool>,
    pub(super) newest: Option<Newest>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Newest {
    #[serde(skip)]
    at_ms: i64,
    pub(super) at: String,
    pub(super) id: String,
    pub(super) position: Option<String>,
}

/// A client, and how many events it may find.
#[derive(Clone)]
pub(super) struct Topics {
    reader: Arc<TopicReader>,
    events_max: usize,
}

type Found = (Vec<u128>, Vec<HeldTopic>);

impl Topics {
    pub(super) fn of(reader: TopicReader, events_max: usize) -> Self {
        let reader = Arc::new(reader);
        Self { reader, events_max }
    }

    /// Reads topics back from a time on.
    pub(super) async fn since(&self, topics: Vec<TopicName>, since: Timestamp) -> Result<Held, Failure> {
        let (of, events_max) = (self.clone(), self.events_max);
        let read = waited(move || {
            let stretches = of.reader.since(&topics, since.as_unix_ms())?;
            let found = of.find(&stretches, events_max)?;
            Ok((stretches, found))
        });
        let (stretches, (fingerprints, topics)) = read.await?;
        self.check_bound(fingerprints.len())?;
        Ok(Held {
            ids: Ids::of(fingerprints),
            topics,
            stretches,
        })
    }

    /// Whether their older records are removed.
    pub(super) async fn know_compaction(&self, kafka: &KafkaSettings, topics: &mut [HeldTopic]) -> Result<(), Failure> {
        let names: Vec<&str> = topics.iter().map(|topic| topic.topic.as_str()).collect();
        let found = compaction(kafka, &names).await?;
        for (topic, found) in topics.iter_mut().zip(found) {
            topic.compacted = match found {
                Compaction::Yes => Some(true),
                Compaction::No => Some(false),
                Compaction::Unknown(why) => {
                    eprintln!("whether topic {} is compacted is not known: {why}", topic.topic);
                    None
                }
            };
        }
        Ok(())
    }

    /// Reads what has come since.
    pub(super) async fn catch_up(&self, held: &mut Held) -> Result<(), Failure> {
        let (of, before) = (self.clone(), held.stretches.clone());
        let left = self.events_max.saturating_sub(held.ids.len());
        let read = waited(move || {
            let behind = of.reader.behind(&before)?;
            let (fingerprints, _) = of.find(&behind, left)?;
            Ok((behind, fingerprints))
        });
        let (behind, fingerprints) = read.await?;
        self.check_bound(held.ids.len() + fingerprints.len())?;
        held.ids.add(&fingerprints);
        for (stretch, behind) in held.stretches.iter_mut().zip(behind) {
            stretch.end = behind.end;
        }
        Ok(())
    }

    /// Reads the same records once more.
    pub(super) async fn again<T: Send + 'static>(
        &self,
        held: &Held,
        start: T,
        mut each: impl FnMut(&mut T, &ReadBack<'_>) + Send + 'static,
    ) -> Result<T, Failure> {
        let (reader, stretches) = (Arc::clone(&self.reader), held.stretches.clone());
        waited(move || {
            let mut gathered = start;
            reader.read(&stretches, |record| {
                each(&mut gathered, record);
                ControlFlow::Continue(())
            })?;
            Ok(gathered)
        })
        .await
    }

    /// One more than the bound says that there are too many.
    fn find(&self, stretches: &[Stretch], events_max: usize) -> Result<Found, Fault> {
        let mut found: Found = (Vec::new(), named(stretches));
        let (fingerprints, topics) = &mut found;
        self.reader.read(stretches, |record| {
            let topic = topics.iter_mut().find(|topic| topic.topic == record.topic());
            if let Some(id) = record.header("id") {
                fingerprints.push(fingerprint(id));
            }
            if let Some(topic) = topic {
                topic.records += 1;
                topic.newest = topic.newest.take().max(Newest::of(record));
            }
            if fingerprints.len() > events_max {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(found)
    }

    fn check_bound(&self, events: usize) -> Result<(), Failure> {
        if events > self.events_max {
            return Err(too_many("the topics", self.events_max));
        }
        Ok(())
    }
}

impl Newest {
    fn of(record: &ReadBack<'_>) -> Option<Self> {
        let text = |name| {
            record
                .header(name)
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        let at_ms = record.timestamp_ms()?;
        Some(Self {
            at_ms,
            at: Timestamp::from_unix_us(at_ms.saturating_mul(1000)).to_string(),
            id: text("id")?,
            position: text("position"),
        })
    }
}

fn named(stretches: &[Stretch]) -> Vec<HeldTopic> {
    let of_topics = stretches.chunk_by(|one, next| one.topic == next.topic);
    let first = of_topics.filter_map(|stretches| stretches.first());
    first
        .map(|stretch| HeldTopic {
            topic: stretch.topic.to_string(),
            records: 0,
            compacted: None,
            newest: None,
        })
        .collect()
}

pub(super) fn too_many(place: &str, events_max: usize) -> Failure {
    Failure::new(
        Refusal::RecoveryUnsure,
        format!("{place} hold more than {events_max} events since then"),
        "give a later --since, or room for more with --events-max (64 bytes of memory each)",
    )
}

/// librdkafka's reading waits; an interruption does not wait for it.
async fn waited<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Failure> {
    match spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Failure::new(Refusal::SystemRefused, error, "try again")),
    }
}

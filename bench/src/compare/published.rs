//! Reads what was published, and looks for the first difference.

use outbox_relay_tests::consumer::{Consumer, EndOffsets, Record};

use super::same_records::{Comparison, Content, Published};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// As much of a payload as a message shows.
const SHOWN_CHARACTERS: usize = 120;

/// Topics that can be read.
pub(super) struct Reader<'i> {
    consumer: Consumer,
    interrupt: &'i Interrupt,
}

impl<'i> Reader<'i> {
    pub(super) fn new(bootstrap_servers: &str, interrupt: &'i Interrupt) -> Result<Reader<'i>, Failure> {
        let consumer = Consumer::new(bootstrap_servers).map_err(reading("any topic"))?;
        Ok(Reader { consumer, interrupt })
    }

    /// Everything in a topic.
    pub(super) fn published(&self, topic: &str) -> Result<Published, Failure> {
        let mut published = Published::default();
        self.read(topic, |record| published.add(content(&record)))?;
        Ok(published)
    }

    /// The first record of two topics that has to do with their difference, in words.
    pub(super) fn first_difference(&self, comparison: &Comparison<'_>, topics: [&str; 2]) -> Result<String, Failure> {
        for topic in topics {
            let mut found = None;
            self.read(topic, |record| {
                if found.is_none()
                    && let Some(difference) = comparison.about(content(&record))
                {
                    found = Some(format!("{} {}", shown(&record), difference.in_words(topics)));
                }
            })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(format!("{} and {} changed while they were read", topics[0], topics[1]))
    }

    /// Partition by partition: a signal is heard between two, and what has one key is in one.
    fn read(&self, topic: &str, mut each: impl FnMut(Record)) -> Result<(), Failure> {
        let ends = self.consumer.end_offsets(&[topic.to_owned()]).map_err(reading(topic))?;
        for (partition, end) in ends {
            self.interrupt.check()?;
            let part = EndOffsets::from([(partition, end)]);
            self.consumer.read_each(&part, &mut each).map_err(reading(topic))?;
        }
        Ok(())
    }
}

fn content(record: &Record) -> Content<'_> {
    Content {
        key: record.key.as_deref(),
        payload: record.value.as_deref(),
    }
}

fn shown(record: &Record) -> String {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARACTERS).collect(),
        None => "nothing".to_owned(),
    };
    format!(
        "the record of partition {} at offset {} with key {} and payload {}",
        record.partition,
        record.offset,
        text(&record.key),
        text(&record.value)
    )
}

fn reading(topic: &str) -> impl FnOnce(outbox_relay_tests::failure::Failure) -> Failure {
    let topic = topic.to_owned();
    move |failure| Failure::Reading {
        topic,
        reason: failure.to_string(),
    }
}

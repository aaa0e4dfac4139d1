//! `[dead_letters]` and `[audit]`: what is kept in the database, and the topics that are told of it.

use std::collections::BTreeMap;

use outbox_decoder::TopicName;

use crate::config::errors::Fault;
use crate::config::parse::{topic_name, whole};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{AuditSettings, DeadLetterSettings, OutboxSettings};
use crate::pipeline::LetterLimits;

const LETTERS: &str = "dead_letters.topic";
const HEADS: &str = "audit.topic";

pub(super) fn dead_letters(reader: &mut Reader) -> Result<DeadLetterSettings, Noted> {
    let letters_max = reader.read("dead_letters.letters_max", whole);
    let parked_keys_max = reader.read("dead_letters.parked_keys_max", whole);
    let topic = reader.optional(LETTERS, topic_name);
    Ok(DeadLetterSettings {
        limits: LetterLimits {
            letters_max: letters_max?,
            parked_keys_max: parked_keys_max?,
        },
        topic: topic?,
    })
}

pub(super) fn audit(reader: &mut Reader) -> Result<AuditSettings, Noted> {
    let topic = reader.optional(HEADS, topic_name);
    Ok(AuditSettings { topic: topic? })
}

/// A consumer of events would take notices for events, and one of notices heads for letters.
pub(super) fn go_to_topics_of_their_own(
    reader: &mut Reader,
    outboxes: Option<&BTreeMap<String, OutboxSettings>>,
    dead_letters: &Result<DeadLetterSettings, Noted>,
    audit: &Result<AuditSettings, Noted>,
) {
    let letters = dead_letters.as_ref().ok().and_then(|set| set.topic.clone());
    let heads = audit.as_ref().ok().and_then(|set| set.topic.clone());
    for (key, topic) in [(LETTERS, &letters), (HEADS, &heads)] {
        let Some(topic) = topic else { continue };
        let is_taken = |(_, outbox): &(&String, &OutboxSettings)| only_topic(outbox).as_ref() == Some(topic);
        if let Some((name, _)) = outboxes.into_iter().flatten().find(is_taken) {
            reader.fault(key, taken(topic, &format!("outbox.{name}.topic")));
        }
    }
    if let (Some(letters), Some(heads)) = (letters, heads)
        && letters == heads
    {
        reader.fault(HEADS, taken(&heads, LETTERS));
    }
}

/// Where every event of the outbox goes, whatever its aggregate type; `None` where that decides.
fn only_topic(outbox: &OutboxSettings) -> Option<TopicName> {
    let of = |aggregate_type| outbox.topic.render(&outbox.schema, &outbox.table, aggregate_type).ok();
    of("a").filter(|topic| of("b").as_ref() == Some(topic))
}

fn taken(topic: &TopicName, other: &str) -> Fault {
    Fault::new(
        format!("{topic} is the topic of {other} too"),
        "name a topic of its own: who reads the one does not expect the other",
    )
}

#[cfg(test)]
mod tests {
    use crate::config::trial::Trial;

    #[test]
    fn nothing_is_told_to_topics_unless_they_are_named() {
        let settings = Trial::minimal().load().expect("no error").settings;
        assert_eq!((settings.dead_letters.topic, settings.audit.topic), (None, None));
        let trial = Trial::minimal()
            .flag("dead_letters.topic=dead")
            .flag("audit.topic=heads");
        let settings = trial.load().expect("no error").settings;
        assert_eq!(settings.dead_letters.topic.expect("a topic").as_str(), "dead");
        assert_eq!(settings.audit.topic.expect("a topic").as_str(), "heads");
    }

    #[test]
    fn notices_have_topics_of_their_own() {
        let of = |flags: &[&str]| {
            let trial = flags.iter().fold(Trial::minimal(), |trial, flag| trial.flag(flag));
            let errors = trial.errors();
            errors.iter().map(|error| error.key.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            of(&["outbox.default.topic=events", "dead_letters.topic=events"]),
            ["dead_letters.topic"]
        );
        assert_eq!(
            of(&["outbox.default.topic={schema}.{table}", "audit.topic=public.outbox"]),
            ["audit.topic"]
        );
        assert_eq!(of(&["audit.topic=heads", "dead_letters.topic=heads"]), ["audit.topic"]);
        assert_eq!(of(&["audit.topic=a/b"]), ["audit.topic"]);
        let template = Trial::minimal()
            .flag("outbox.default.topic=events.{aggregate_type}")
            .flag("dead_letters.topic=events.dead");
        template.load().expect("no error");
    }
}

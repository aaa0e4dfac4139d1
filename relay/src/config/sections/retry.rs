//! `[retry]`, and what an outbox or some of its event types say instead.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::backoff::{Growth, Schedule};
use crate::config::errors::Fault;
use crate::config::parse::{choice, list, whole};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{RetryRule, RetrySettings};

/// What holds where nothing else is said.
pub(super) fn read(reader: &mut Reader) -> Result<RetrySettings, Noted> {
    let growth = reader.read("retry.policy", choice);
    let initial_ms = reader.read("retry.initial_ms", whole);
    let max_ms = reader.read("retry.max_ms", whole);
    let attempts = reader.read("retry.attempts", whole);
    reader.at_most(("retry.initial_ms", initial_ms), ("retry.max_ms", max_ms));
    Ok(RetrySettings {
        schedule: Schedule {
            growth: growth_of(&growth?),
            initial: Duration::from_millis(initial_ms?),
            max: Duration::from_millis(max_ms?),
        },
        attempts: attempts?,
    })
}

/// What an outbox says; `usual` holds for the rest.
pub(super) fn of_outbox(reader: &mut Reader, outbox: &str, usual: RetrySettings) -> Result<RetrySettings, Noted> {
    differing(reader, &format!("outbox.{outbox}.retry"), usual)
}

/// What is said of some event types of an outbox.
pub(super) fn rules(reader: &mut Reader, outbox: &str, usual: RetrySettings) -> Result<Vec<RetryRule>, Noted> {
    let prefix = format!("outbox.{outbox}.retry_rules");
    let below = reader.below(&format!("{prefix}."));
    // A rule that says nothing is none.
    let names: BTreeSet<&str> = below
        .iter()
        .filter_map(|path| path.split_once('.'))
        .map(|(name, _)| name)
        .collect();
    let read: Vec<Result<RetryRule, Noted>> = names
        .into_iter()
        .map(|name| rule(reader, &format!("{prefix}.{name}"), usual))
        .collect();
    let rules = read.into_iter().collect::<Result<Vec<_>, _>>()?;
    spoken_for_once(reader, &prefix, &rules)?;
    Ok(rules)
}

fn rule(reader: &mut Reader, path: &str, usual: RetrySettings) -> Result<RetryRule, Noted> {
    let types = format!("{path}.event_types");
    let event_types = reader.optional(&types, list);
    let retry = differing(reader, path, usual);
    let event_types = event_types?.unwrap_or_default();
    if event_types.is_empty() {
        reader.fault(
            &types,
            Fault::new("names no event type", "name those that the rule is for"),
        );
        return Err(Noted);
    }
    Ok(RetryRule {
        event_types,
        retry: retry?,
    })
}

fn spoken_for_once(reader: &mut Reader, prefix: &str, rules: &[RetryRule]) -> Result<(), Noted> {
    let mut seen = BTreeSet::new();
    let twice = rules
        .iter()
        .flat_map(|rule| &rule.event_types)
        .find(|name| !seen.insert(*name));
    if let Some(name) = twice {
        let problem = format!("two rules are for event type {name:?}");
        reader.fault(prefix, Fault::new(problem, "keep it in one of them"));
        return Err(Noted);
    }
    Ok(())
}

fn differing(reader: &mut Reader, path: &str, usual: RetrySettings) -> Result<RetrySettings, Noted> {
    let growth = reader.optional(&format!("{path}.policy"), choice);
    let (initial_path, max_path) = (format!("{path}.initial_ms"), format!("{path}.max_ms"));
    let or_usual = |read: Result<Option<u64>, Noted>, usual: Duration| {
        let usual_ms = u64::try_from(usual.as_millis()).unwrap_or(u64::MAX);
        read.map(|given| given.unwrap_or(usual_ms))
    };
    let initial_ms = or_usual(reader.optional(&initial_path, whole), usual.schedule.initial);
    let max_ms = or_usual(reader.optional(&max_path, whole), usual.schedule.max);
    let attempts = reader.optional(&format!("{path}.attempts"), whole);
    reader.at_most((&initial_path, initial_ms), (&max_path, max_ms));
    Ok(RetrySettings {
        schedule: Schedule {
            growth: growth?.map_or(usual.schedule.growth, |name| growth_of(&name)),
            initial: Duration::from_millis(initial_ms?),
            max: Duration::from_millis(max_ms?),
        },
        attempts: attempts?.unwrap_or(usual.attempts),
    })
}

/// The key table admits no other name.
fn growth_of(name: &str) -> Growth {
    let found = Growth::ALL.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| unreachable!("{name} is no policy"), |&(_, growth)| growth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OutboxSettings;
    use crate::config::trial::Trial;

    fn outbox(text: &str) -> OutboxSettings {
        let loaded = Trial::minimal().and(text).load().expect("no error");
        loaded.settings.outbox["default"].clone()
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_event_type_is_retried_as_its_rule_says_then_as_its_outbox_then_as_all() {
        let outbox = outbox(
            "retry.attempts = 5\n[outbox.default.retry]\npolicy = 'fixed'\ninitial_ms = 7\n\
             [outbox.default.retry_rules.money]\nevent_types = ['paid', 'refunded']\nattempts = 9",
        );
        let usual = outbox.retry_of(Some("placed"));
        assert_eq!(
            (usual.schedule.growth, usual.schedule.initial, usual.attempts),
            (Growth::Fixed, ms(7), 5)
        );
        assert_eq!(outbox.retry_of(None), usual);
        let money = outbox.retry_of(Some("refunded"));
        assert_eq!((money.schedule, money.attempts), (usual.schedule, 9));
    }

    #[test]
    fn without_a_word_it_is_a_tenth_of_a_second_half_a_minute_and_three_attempts() {
        let retry = outbox("").retry;
        assert_eq!(
            (
                retry.schedule.growth,
                retry.schedule.initial,
                retry.schedule.max,
                retry.attempts
            ),
            (Growth::EqualJitter, ms(100), ms(30_000), 3)
        );
    }

    #[test]
    fn a_rule_for_nothing_two_rules_for_one_type_and_a_first_wait_above_the_longest_are_refused() {
        for (text, wrong) in [
            ("outbox.default.retry_rules.a.attempts = 2", "names no event type"),
            (
                "outbox.default.retry_rules.a.event_types = ['x']\noutbox.default.retry_rules.b.event_types = ['x']",
                "two rules are for event type \"x\"",
            ),
            ("outbox.default.retry.initial_ms = 30001", "is more than 30000"),
            (
                "retry.policy = 'often'",
                "one of fixed, exponential, equal_jitter, full_jitter",
            ),
        ] {
            let errors = Trial::minimal().and(text).errors();
            assert!(errors.to_string().contains(wrong), "{errors}");
        }
    }
}

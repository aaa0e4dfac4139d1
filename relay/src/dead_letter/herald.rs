//! Says in the log that a key's first event is set aside: from then on somebody has something to do.

use std::collections::HashSet;

use super::letter::{Begins, Letter};
use crate::hex;

/// A log with a line for each of very many keys is not read; the audit trail has them all.
const KEYS_MAX: usize = 100;

type Key = (Option<String>, Option<Vec<u8>>);

/// Which keys were told of since the start.
#[derive(Debug, Default)]
pub(super) struct Herald {
    told: HashSet<Key>,
}

impl Herald {
    /// Letters are committed.
    pub(super) fn tell(&mut self, letters: &[Letter]) {
        for letter in letters.iter().filter(|letter| letter.begins == Begins::Failed) {
            if self.is_first(letter) {
                tell(letter);
            }
        }
    }

    fn is_first(&mut self, letter: &Letter) -> bool {
        self.told.len() < KEYS_MAX && self.told.insert((letter.topic.clone(), letter.key.clone()))
    }
}

fn tell(letter: &Letter) {
    let behind = if letter.parks_key {
        "later ones of its key wait behind it"
    } else {
        "later ones of its key go on"
    };
    tracing::warn!(
        code = letter.failure.error_type,
        topic = letter.topic.as_deref().unwrap_or("(none)"),
        key = shown(letter.key.as_deref()),
        event = letter.idempotency_key,
        next = "`outbox-relay dead-letters list`; mend the cause, then redrive it, or discard it",
        "an event is set aside, and {behind}: {}",
        letter.failure.message
    );
}

fn shown(key: Option<&[u8]>) -> String {
    match key.map(|key| (key, std::str::from_utf8(key))) {
        None => "(none)".to_owned(),
        Some((_, Ok(text))) if !text.contains(char::is_control) => text.to_owned(),
        Some((key, _)) => format!("0x{}", hex::digits(key)),
    }
}

#[cfg(test)]
mod tests {
    use outbox_decoder::{Lsn, Position, Timestamp};

    use super::*;
    use crate::dead_letter::letter::Failure;
    use crate::fault::{Fault, FaultCode};

    fn letter(key: &str) -> Letter {
        let at = Timestamp::from_unix_us(0);
        let fault = Fault::new(FaultCode::RecordTooLarge, "too large", "");
        Letter {
            position: Position {
                commit_lsn: Lsn::new(1),
                ordinal: 0,
                xid: 1,
            },
            committed_at: at,
            outbox: 0,
            idempotency_key: "id".to_owned(),
            aggregate_type: None,
            topic: Some("t".to_owned()),
            key: Some(key.as_bytes().to_vec()),
            headers: Vec::new(),
            payload: None,
            timestamp_ms: 0,
            failure: Failure::of_fault(&fault, Vec::new(), at),
            begins: Begins::Failed,
            parks_key: true,
        }
    }

    #[test]
    fn the_first_event_of_a_key_is_told_and_of_so_many_keys_at_the_most() {
        let mut herald = Herald::default();
        assert!(herald.is_first(&letter("a")));
        assert!(!herald.is_first(&letter("a")));
        let told = (0..2 * KEYS_MAX).filter(|key| herald.is_first(&letter(&key.to_string())));
        assert_eq!(told.count(), KEYS_MAX - 1);
    }
}

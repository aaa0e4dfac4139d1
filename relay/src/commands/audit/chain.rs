//! The chain of the audit trail, as the database's functions make it. Pure: rows in, the first break out.
//!
//! hash = sha256(hash of the row before || `content_hash`); `content_hash` = sha256 over the fields, each as `length:text,`
//! or `-,` where it is null.

use openssl::sha::Sha256;

use super::entry::Entry;
use super::head::Head;

/// `outbox_relay.audit_expire` empties nothing younger.
const KEPT_US: i64 = 30 * 24 * 3_600 * 1_000_000;
/// In front of the first row.
const NOTHING: [u8; 32] = [0; 32];

/// Where the trail is not what was appended.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Break {
    /// A number is left out.
    #[error("row {missing} is missing: row {found} comes instead")]
    Gap {
        /// The first that is not there.
        missing: i64,
        /// What is.
        found: i64,
    },
    /// It does not say what its own hash was made of.
    #[error("row {0} was changed: what it says does not give its content hash")]
    Content(i64),
    /// It does not follow from the row before.
    #[error("row {0} does not follow from the row before it: one of the two is not what was appended")]
    Link(i64),
    /// Its content is gone, and its retention was not over.
    #[error("row {0} was emptied before it was 30 days old, which the database's functions never do")]
    EmptiedEarly(i64),
    /// The head that somebody kept is another one.
    #[error("row {0} is not the row of the head that is given: the trail up to it was written anew")]
    Head(i64),
    /// The head that somebody kept is not reached.
    #[error("the trail ends at row {last}, and the head that is given is row {head}: its end was cut off")]
    Tail {
        /// The last row; 0 without any.
        last: i64,
        /// What there was.
        head: i64,
    },
}

/// What has been followed so far.
#[derive(Debug)]
pub(super) struct Chain {
    last: i64,
    hash: [u8; 32],
    /// Rows without content.
    pub(super) emptied: u64,
}

impl Chain {
    pub(super) const fn begin() -> Self {
        Self {
            last: 0,
            hash: NOTHING,
            emptied: 0,
        }
    }

    /// Rows that were followed: they are numbered from 1.
    pub(super) const fn rows(&self) -> i64 {
        self.last
    }

    pub(super) fn head(&self) -> Head {
        Head {
            seq: self.last,
            hash: self.hash.to_vec(),
        }
    }

    /// The next row; `kept` is a head that somebody kept.
    pub(super) fn follow(&mut self, entry: &Entry, kept: Option<&Head>) -> Result<(), Break> {
        let seq = entry.seq;
        if seq != self.last + 1 {
            return Err(Break::Gap {
                missing: self.last + 1,
                found: seq,
            });
        }
        match entry.expired_at_us {
            Some(expired_at_us) if entry.is_empty() => {
                if expired_at_us.saturating_sub(entry.at_us) < KEPT_US {
                    return Err(Break::EmptiedEarly(seq));
                }
                self.emptied += 1;
            }
            _ if content_hash(entry) != entry.content_hash.as_slice() => return Err(Break::Content(seq)),
            _ => {}
        }
        let hash = link(&self.hash, &entry.content_hash);
        if hash != entry.hash.as_slice() {
            return Err(Break::Link(seq));
        }
        if kept.is_some_and(|kept| kept.seq == seq && kept.hash != hash) {
            return Err(Break::Head(seq));
        }
        (self.last, self.hash) = (seq, hash);
        Ok(())
    }

    /// There are no more rows.
    pub(super) fn end(&self, kept: Option<&Head>) -> Result<(), Break> {
        match kept {
            Some(kept) if kept.seq > self.last => Err(Break::Tail {
                last: self.last,
                head: kept.seq,
            }),
            _ => Ok(()),
        }
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.content.iter().all(Option::is_none)
    }
}

fn link(before: &[u8; 32], content_hash: &[u8]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(before);
    sha.update(content_hash);
    sha.finish()
}

fn content_hash(entry: &Entry) -> [u8; 32] {
    let mut sha = Sha256::new();
    for field in [entry.seq.to_string(), entry.kind.clone(), entry.at_us.to_string()] {
        hash_field(&mut sha, Some(&field));
    }
    for field in &entry.content {
        hash_field(&mut sha, field.as_deref());
    }
    sha.finish()
}

fn hash_field(sha: &mut Sha256, field: Option<&str>) {
    match field {
        None => sha.update(b"-,"),
        Some(text) => {
            sha.update(text.len().to_string().as_bytes());
            sha.update(b":");
            sha.update(text.as_bytes());
            sha.update(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64, before: [u8; 32]) -> Entry {
        let mut entry = Entry {
            seq,
            kind: "operation".to_owned(),
            at_us: 1_700_000_000_000_000 + seq,
            at: String::new(),
            content: [const { None }; 10],
            content_hash: Vec::new(),
            hash: Vec::new(),
            expired_at_us: None,
            expired_at: None,
        };
        entry.content[4] = Some(format!("action é {seq}"));
        entry.content_hash = content_hash(&entry).to_vec();
        entry.hash = link(&before, &entry.content_hash).to_vec();
        entry
    }

    fn trail(rows: i64) -> Vec<Entry> {
        let mut before = NOTHING;
        let rows = (1..=rows).map(|seq| {
            let entry = entry(seq, before);
            before.copy_from_slice(&entry.hash);
            entry
        });
        rows.collect()
    }

    fn followed(trail: &[Entry], kept: Option<&Head>) -> Result<Chain, Break> {
        let mut chain = Chain::begin();
        for entry in trail {
            chain.follow(entry, kept)?;
        }
        chain.end(kept).map(|()| chain)
    }

    fn head(trail: &[Entry], seq: usize) -> Head {
        Head {
            seq: trail[seq - 1].seq,
            hash: trail[seq - 1].hash.clone(),
        }
    }

    #[test]
    fn a_trail_that_nobody_touched_is_whole_up_to_every_head_of_it() {
        let trail = trail(5);
        for seq in 1..=5 {
            let chain = followed(&trail, Some(&head(&trail, seq))).expect("whole");
            assert_eq!((chain.rows(), chain.head()), (5, head(&trail, 5)));
        }
        assert_eq!(followed(&[], None).expect("whole").rows(), 0);
    }

    #[test]
    fn whatever_is_changed_removed_or_put_in_breaks_it() {
        let whole = trail(5);
        let broken = |change: &dyn Fn(&mut Vec<Entry>)| {
            let mut trail = whole.clone();
            change(&mut trail);
            followed(&trail, Some(&head(&whole, 5))).err()
        };
        let said = Some("another".to_owned());
        assert_eq!(
            broken(&|trail| trail[2].content[6] = said.clone()),
            Some(Break::Content(3))
        );
        assert_eq!(broken(&|trail| trail[2].at_us += 1), Some(Break::Content(3)));
        assert_eq!(broken(&|trail| trail[2].hash[0] ^= 1), Some(Break::Link(3)));
        assert_eq!(
            broken(&|trail| drop(trail.remove(1))),
            Some(Break::Gap { missing: 2, found: 3 })
        );
        assert_eq!(
            broken(&|trail| drop(trail.remove(0))),
            Some(Break::Gap { missing: 1, found: 2 })
        );
        assert_eq!(
            broken(&|trail| trail.insert(1, trail[0].clone())),
            Some(Break::Gap { missing: 2, found: 1 })
        );
        assert_eq!(
            broken(&|trail| trail.truncate(3)),
            Some(Break::Tail { last: 3, head: 5 })
        );
        assert_eq!(broken(&Vec::clear), Some(Break::Tail { last: 0, head: 5 }));
    }

    #[test]
    fn a_row_that_was_changed_with_its_own_hashes_breaks_at_the_next_one_or_at_the_head() {
        let whole = trail(5);
        let rewritten = |place: usize| {
            let mut trail = whole.clone();
            trail[place].content[6] = Some("another".to_owned());
            trail[place].content_hash = content_hash(&trail[place]).to_vec();
            let before: [u8; 32] = whole[place - 1].hash.as_slice().try_into().expect("32 bytes");
            trail[place].hash = link(&before, &trail[place].content_hash).to_vec();
            trail
        };
        assert_eq!(followed(&rewritten(2), None).err(), Some(Break::Link(4)));
        assert_eq!(followed(&rewritten(4), None).err(), None);
        assert_eq!(
            followed(&rewritten(4), Some(&head(&whole, 5))).err(),
            Some(Break::Head(5))
        );
    }

    #[test]
    fn a_row_may_be_emptied_once_it_is_old_enough_and_not_before() {
        let mut trail = trail(3);
        trail[1].content = [const { None }; 10];
        assert_eq!(followed(&trail, None).err(), Some(Break::Content(2)));
        trail[1].expired_at_us = Some(trail[1].at_us + KEPT_US);
        assert_eq!(followed(&trail, None).expect("whole").emptied, 1);
        trail[1].expired_at_us = Some(trail[1].at_us + KEPT_US - 1);
        assert_eq!(followed(&trail, None).err(), Some(Break::EmptiedEarly(2)));
        trail[1].content_hash[0] ^= 1;
        trail[1].expired_at_us = Some(trail[1].at_us + KEPT_US);
        assert_eq!(followed(&trail, None).err(), Some(Break::Link(2)));
    }
}

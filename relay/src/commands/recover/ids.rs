//! Idempotency keys, remembered by a hash: so many that they would not fit into memory as they are.

/// 128 bits of SHA-256: among ten million keys no two have the same but by a chance of one in 10^24.
type Fingerprint = u128;

pub(super) fn fingerprint(id: &[u8]) -> Fingerprint {
    let hash = openssl::sha::sha256(id);
    let (half, _) = hash.split_at(size_of::<Fingerprint>());
    half.iter()
        .fold(0, |number, &byte| number << 8 | Fingerprint::from(byte))
}

/// A set of keys.
#[derive(Debug, Default, Clone)]
pub(super) struct Ids(Vec<Fingerprint>);

impl Ids {
    pub(super) fn of(mut fingerprints: Vec<Fingerprint>) -> Self {
        fingerprints.sort_unstable();
        fingerprints.dedup();
        fingerprints.shrink_to_fit();
        Self(fingerprints)
    }

    pub(super) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.binary_search(&fingerprint).is_ok()
    }

    pub(super) fn add(&mut self, more: &[Fingerprint]) {
        if !more.is_empty() {
            *self = Self::of([std::mem::take(&mut self.0).as_slice(), more].concat());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of these the other set lacks.
    pub(super) fn lacking_in(&self, other: &Self) -> usize {
        self.0
            .iter()
            .filter(|fingerprint| !other.contains(**fingerprint))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_keys_knows_each_of_them_once() {
        let key = |id: &str| fingerprint(id.as_bytes());
        let mut ids = Ids::of(vec![key("b"), key("a"), key("b")]);
        assert!(ids.contains(key("a")) && !ids.contains(key("c")));
        ids.add(&[key("c"), key("a")]);
        assert_eq!((ids.len(), ids.contains(key("c"))), (3, true));
        assert_eq!(ids.lacking_in(&Ids::of(vec![key("b"), key("x")])), 2);
    }
}

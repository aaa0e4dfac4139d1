//! A head of the chain, as somebody kept it.

use std::fmt;

use crate::hex;

/// The hash of a row, which stands for all rows up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
}

/// Reads `SEQ:HASH`.
pub(super) fn head(text: &str) -> Result<Head, String> {
    let wanted = || "wanted is SEQ:HASH, as commands and the relay's log show it".to_owned();
    let (seq, digits) = text.trim().split_once(':').ok_or_else(wanted)?;
    let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or_else(wanted)?;
    let hash = hex::bytes(digits).filter(|hash| hash.len() == 32).ok_or_else(wanted)?;
    Ok(Head { seq, hash })
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex::digits(&self.hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_shown() {
        let text = format!("12:{}", "0a".repeat(32));
        assert_eq!(head(&text).map(|head| head.to_string()), Ok(text));
        for wrong in ["", "12", "12:0a", "0:0a", &format!("x:{}", "0a".repeat(32))] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }
}

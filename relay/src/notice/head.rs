//! The head of the audit trail, for a topic. Whoever can rewrite the table cannot take back what the topic has.

use outbox_decoder::TopicName;
use serde_json::json;
use tokio_postgres::Client;

use crate::kafka::Record;
use crate::postgres::PostgresError;

/// The newest row of the trail, which stands for all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) seq: i64,
    hash: String,
    /// When the row was appended, RFC 3339.
    at: String,
}

/// What a trail may have become since the head that was told last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Rows were appended, as far as a head can say.
    Longer,
    /// Its end is gone, or is another one: rows were removed or written anew.
    Rewritten,
}

impl Head {
    /// `None` without any row.
    pub(super) async fn read(client: &Client) -> Result<Option<Self>, PostgresError> {
        let statement = "SELECT seq, head, at FROM outbox_relay.audit_head()";
        let row = client.query_one(statement, &[]).await?;
        let (seq, hash, at): (Option<i64>, Option<String>, Option<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(seq.zip(hash).zip(at).map(|((seq, hash), at)| Self { seq, hash, at }))
    }

    /// As `audit verify --head` takes it.
    pub(super) fn shown(&self) -> String {
        format!("{}:{}", self.seq, self.hash)
    }

    pub(super) fn since(&self, told: Option<&Self>) -> Change {
        match told {
            Some(told) if told == self => Change::None,
            Some(told) if self.seq <= told.seq => Change::Rewritten,
            _ => Change::Longer,
        }
    }

    /// Its record. The key is the trail's: each database of a server has its own.
    pub(super) fn record(&self, topic: &TopicName, system_identifier: u64, database: &str) -> Record {
        let value = json!({
            "head": self.shown(),
            "seq": self.seq,
            "hash": self.hash,
            "at": self.at,
            "system_identifier": system_identifier.to_string(),
            "database": database,
        });
        Record {
            topic: topic.clone(),
            key: Some(format!("{system_identifier}/{database}").into_bytes()),
            headers: Vec::new(),
            payload: Some(value.to_string().into_bytes()),
            timestamp_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: i64, hash: &str) -> Head {
        Head {
            seq,
            hash: hash.to_owned(),
            at: "2026-01-01T00:00:00.000000Z".to_owned(),
        }
    }

    #[test]
    fn a_trail_that_did_not_grow_and_has_another_end_was_rewritten() {
        let told = head(7, "aa");
        assert_eq!(head(1, "aa").since(None), Change::Longer);
        assert_eq!(head(7, "aa").since(Some(&told)), Change::None);
        assert_eq!(head(8, "bb").since(Some(&told)), Change::Longer);
        assert_eq!(head(7, "bb").since(Some(&told)), Change::Rewritten);
        assert_eq!(head(6, "aa").since(Some(&told)), Change::Rewritten);
    }

    #[test]
    fn a_head_goes_to_its_topic_as_verify_takes_it() {
        let record = head(7, "aa").record(&"heads".parse().expect("a name"), 42, "shop");
        assert_eq!(record.key.as_deref(), Some(&b"42/shop"[..]));
        let value: serde_json::Value = serde_json::from_slice(&record.payload.unwrap_or_default()).expect("JSON");
        assert_eq!((&value["head"], &value["database"]), (&json!("7:aa"), &json!("shop")));
    }
}

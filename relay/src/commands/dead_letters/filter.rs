//! Which dead letters a command is about.

use clap::{Args, ValueEnum};
use outbox_decoder::Timestamp;
use tokio_postgres::types::ToSql;

use super::super::moment::moment;
use crate::hex;

/// All that is given has to fit.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Filter {
    /// Dead letters by their number, as `list` shows it
    #[arg(value_name = "LETTER")]
    pub(super) letters: Vec<i64>,
    /// Events by their id; repeatable
    #[arg(long = "id", value_name = "EVENT_ID")]
    pub(super) events: Vec<String>,
    /// Of this topic
    #[arg(long)]
    topic: Option<String>,
    /// With this record key
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// With this record key, in hexadecimal digits
    #[arg(long, value_name = "HEX", conflicts_with = "key", value_parser = key_bytes)]
    key_hex: Option<KeyBytes>,
    /// Of this aggregate type
    #[arg(long)]
    aggregate_type: Option<String>,
    /// Of this tenant: the header `tenant_id`, where the outbox's `metadata_headers` name it
    #[arg(long)]
    pub(super) tenant: Option<String>,
    /// Set aside for this reason, a code of `outbox-relay explain`
    #[arg(long, value_name = "CODE")]
    error_type: Option<String>,
    /// In this state; repeatable
    #[arg(long = "state", value_name = "STATE")]
    pub(super) states: Vec<State>,
    /// Of this outbox of the configuration
    #[arg(long, value_name = "NAME")]
    outbox: Option<String>,
    /// Set aside since then: 2026-05-01T06:30:00Z, 2026-05-01, or 2h ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Set aside before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// What becomes of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    /// It cannot be published
    Failed,
    /// It waits behind a failed one of its key, or for its outbox
    Parked,
    /// It is to be published by the relay
    Redriving,
    /// It was published
    Redriven,
    /// It is never to be published
    Discarded,
}

impl State {
    /// In which somebody or something is still to act.
    pub(super) const UNRESOLVED: [Self; 3] = [Self::Failed, Self::Parked, Self::Redriving];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Redriving => "redriving",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// A type of its own: the parser takes a vector for a flag that can be repeated.
#[derive(Debug, Clone)]
struct KeyBytes(Vec<u8>);

fn key_bytes(digits: &str) -> Result<KeyBytes, String> {
    let bytes = hex::bytes(digits.trim_start_matches("0x")).map(KeyBytes);
    bytes.ok_or_else(|| "two hexadecimal digits a byte are wanted".to_owned())
}

impl Filter {
    /// Letters or events are named one by one.
    pub(super) fn names_letters(&self) -> bool {
        !self.letters.is_empty() || !self.events.is_empty()
    }

    /// Nothing is given: every letter fits.
    pub(super) fn is_empty(&self) -> bool {
        let texts = [
            &self.topic,
            &self.key,
            &self.aggregate_type,
            &self.tenant,
            &self.error_type,
            &self.outbox,
        ];
        !self.names_letters()
            && self.states.is_empty()
            && texts.into_iter().all(Option::is_none)
            && self.key_hex.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }

    /// The texts that are given or could be: flag, column, value.
    pub(super) fn values(&self) -> [(&'static str, &'static str, Option<&str>); 5] {
        [
            ("--topic", "topic", self.topic.as_deref()),
            ("--aggregate-type", "aggregate_type", self.aggregate_type.as_deref()),
            ("--tenant", "tenant", self.tenant.as_deref()),
            ("--error-type", "error_type", self.error_type.as_deref()),
            ("--outbox", "outbox", self.outbox.as_deref()),
        ]
    }

    /// What the table is asked, for letters of a slot. `otherwise` are the states where none is named; `None` for all.
    pub(super) fn question<'f>(&'f self, slot: &'f str, otherwise: Option<&[State]>) -> Question<'f> {
        let states = if self.states.is_empty() {
            otherwise
        } else {
            Some(self.states.as_slice())
        };
        Question {
            slot,
            states: states.map(|states| states.iter().map(|state| state.name()).collect()),
            letters: (!self.letters.is_empty()).then_some(self.letters.as_slice()),
            events: (!self.events.is_empty()).then(|| self.events.iter().map(String::as_str).collect()),
            topic: self.topic.as_deref(),
            key: self
                .key
                .as_ref()
                .map(String::as_bytes)
                .or(self.key_hex.as_ref().map(|key| key.0.as_slice())),
            aggregate_type: self.aggregate_type.as_deref(),
            tenant: self.tenant.as_deref(),
            error_type: self.error_type.as_deref(),
            outbox: self.outbox.as_deref(),
            since_us: self.since.map(Timestamp::as_unix_us),
            until_us: self.until.map(Timestamp::as_unix_us),
        }
    }
}

/// The parameters of [`FITS`].
#[derive(Debug, Clone, Default)]
pub(super) struct Question<'f> {
    slot: &'f str,
    states: Option<Vec<&'static str>>,
    letters: Option<&'f [i64]>,
    events: Option<Vec<&'f str>>,
    topic: Option<&'f str>,
    key: Option<&'f [u8]>,
    aggregate_type: Option<&'f str>,
    tenant: Option<&'f str>,
    error_type: Option<&'f str>,
    outbox: Option<&'f str>,
    since_us: Option<i64>,
    until_us: Option<i64>,
}

/// The condition on `outbox_relay.dead_letters d`, with the first twelve parameters of a statement.
pub(super) const FITS: &str = "d.slot_name = $1
    AND ($2::text[] IS NULL OR d.state = ANY ($2))
    AND ($3::int8[] IS NULL OR d.letter_id = ANY ($3))
    AND ($4::text[] IS NULL OR d.idempotency_key = ANY ($4))
    AND ($5::text IS NULL OR d.topic = $5)
    AND ($6::bytea IS NULL OR d.key = $6)
    AND ($7::text IS NULL OR d.aggregate_type = $7)
    AND ($8::text IS NULL OR d.tenant = $8)
    AND ($9::text IS NULL OR d.error_type = $9)
    AND ($10::text IS NULL OR d.outbox = $10)
    AND ($11::int8 IS NULL OR d.set_aside_at >= to_timestamp($11 / 1e6))
    AND ($12::int8 IS NULL OR d.set_aside_at < to_timestamp($12 / 1e6))";

impl<'f> Question<'f> {
    /// About these letters and no others.
    pub(super) fn about(slot: &'f str, letters: &'f [i64]) -> Self {
        Self {
            slot,
            letters: Some(letters),
            ..Self::default()
        }
    }

    /// In any state.
    pub(super) fn in_any_state(&self) -> Self {
        Self {
            states: None,
            ..self.clone()
        }
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.slot,
            &self.states,
            &self.letters,
            &self.events,
            &self.topic,
            &self.key,
            &self.aggregate_type,
            &self.tenant,
            &self.error_type,
            &self.outbox,
            &self.since_us,
            &self.until_us,
        ]
    }
}

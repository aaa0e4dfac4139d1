//! What is known: of the slot, of the last relay on it, of the server then and now, and of a recovery before this one.

use std::fmt::Write;

use outbox_decoder::{Lsn, Timestamp};
use serde_json::{Value, json};

use super::super::Failure;
use super::super::slot::Slot;
use crate::postgres::{
    Advisory, AdvisoryRow, Identity, PostgresError, ReplicationConnection, SlotCopies, SlotState, slot_figures,
};

/// A recovery that has begun and did not reach its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) since: Timestamp,
    /// The column that was asked for.
    pub(super) by: Option<String>,
    pub(super) begun_at: Timestamp,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Situation {
    pub(super) slot: SlotState,
    /// What the slot has confirmed, also a lost one.
    pub(super) confirmed: Option<Lsn>,
    /// Standbys keep the slot.
    pub(super) is_kept: bool,
    /// What the last relay knew.
    pub(super) known: Option<AdvisoryRow>,
    /// The server now.
    pub(super) identity: Identity,
    /// Where its timeline left the one that the last relay knew.
    pub(super) forked_at: Option<Lsn>,
    pub(super) unfinished: Option<Unfinished>,
}

impl Situation {
    pub(super) async fn look(
        slot: &Slot<'_>,
        replication: &mut ReplicationConnection,
        unfinished: Option<Unfinished>,
    ) -> Result<Self, Failure> {
        let client = slot.control.client();
        let failed = |error: PostgresError| slot.failed(&error);
        let figures = slot_figures(client, slot.name()).await.map_err(failed)?;
        let known = Advisory::read(client, slot.name()).await.map_err(failed)?;
        let identity = replication.identify_system().await.map_err(failed)?;
        Ok(Self {
            slot: slot.look().await?,
            confirmed: figures.and_then(|figures| figures.confirmed),
            is_kept: SlotCopies::look(client, slot.name()).await.map_err(failed)?.is_kept,
            forked_at: fork(replication, &identity, known.as_ref()).await,
            known,
            identity,
            unfinished,
        })
    }

    /// An event with this position or a later one, that the tables lack, was never on this server: it committed on another
    /// one, after that and this had parted.
    pub(super) fn never_here_from(&self) -> Lsn {
        self.forked_at.unwrap_or(self.identity.flushed)
    }

    fn is_same_server(&self) -> bool {
        let known = self.known.as_ref();
        known.is_none_or(|known| known.remembered.system_identifier == self.identity.system_identifier)
    }

    pub(super) fn describe(&self, slot: &str) -> String {
        let mut text = String::new();
        let state = match &self.slot {
            SlotState::Missing => "does not exist".to_owned(),
            SlotState::Lost { why } => format!("is lost: {why}"),
            SlotState::Free => "is there and whole".to_owned(),
            SlotState::InUse(holder) => format!("is in use: {holder}"),
            SlotState::Foreign { what } => what.clone(),
        };
        let _ = writeln!(text, "slot:           {slot} {state}");
        let _ = writeln!(text, "last confirmed: {}", self.last_confirmed());
        let _ = writeln!(text, "server:         {}", self.server());
        if let Some(Unfinished { since, begun_at, .. }) = &self.unfinished {
            let _ = writeln!(
                text,
                "recovery:       begun at {begun_at} for rows since {since}, and not ended"
            );
        }
        text
    }

    fn last_confirmed(&self) -> String {
        let by_slot = self.confirmed.map(|lsn| format!("{lsn} by the slot"));
        let by_relay = self.known.as_ref().map(|known| {
            let (written_at, lsn) = (known.written_at, known.remembered.confirmed);
            match lsn {
                Lsn::ZERO => format!("nothing yet when the last relay noted it, at {written_at}"),
                lsn => format!("at least {lsn} when the last relay noted it, at {written_at}"),
            }
        });
        let said: Vec<String> = by_slot.into_iter().chain(by_relay).collect();
        if said.is_empty() {
            "not known: nothing is left of the slot, nor of a relay on it".to_owned()
        } else {
            said.join("; ")
        }
    }

    fn server(&self) -> String {
        let Identity {
            system_identifier,
            timeline,
            flushed,
        } = &self.identity;
        let now = format!("system identifier {system_identifier}, timeline {timeline}, WAL up to {flushed}");
        let Some(known) = &self.known else { return now };
        let before = &known.remembered;
        if !self.is_same_server() {
            return format!("{now}; another cluster than before ({})", before.system_identifier);
        }
        match self.forked_at {
            Some(point) => format!(
                "{now}; it was promoted or restored at {point}, before it was on timeline {}",
                before.timeline
            ),
            None if *flushed < before.confirmed => {
                format!("{now}; it lacks WAL that was confirmed before: an old copy")
            }
            None => format!("{now}, as before"),
        }
    }

    pub(super) fn as_json(&self, slot: &str) -> Value {
        let (state, why) = match &self.slot {
            SlotState::Missing => ("missing", None),
            SlotState::Lost { why } => ("lost", Some(why)),
            SlotState::Free => ("present", None),
            SlotState::InUse(_) => ("in_use", None),
            SlotState::Foreign { what } => ("foreign", Some(what)),
        };
        let server =
            |identifier: u64, timeline: u32| json!({"system_identifier": identifier.to_string(), "timeline": timeline});
        json!({
            "slot": {"name": slot, "state": state, "why": why, "confirmed": self.confirmed.map(|lsn| lsn.to_string())},
            "last_relay": self.known.as_ref().map(|known| json!({
                "confirmed": known.remembered.confirmed.to_string(),
                "noted_at": known.written_at.to_string(),
                "clean_stop": known.clean_stop,
                "server": server(known.remembered.system_identifier, known.remembered.timeline),
            })),
            "server": server(self.identity.system_identifier, self.identity.timeline),
            "wal_end": self.identity.flushed.to_string(),
            "forked_at": self.forked_at.map(|point| point.to_string()),
        })
    }
}

/// A history that is gone says nothing, and is no reason not to go on.
async fn fork(
    replication: &mut ReplicationConnection,
    identity: &Identity,
    known: Option<&AdvisoryRow>,
) -> Option<Lsn> {
    let before = &known?.remembered;
    let is_later = before.system_identifier == identity.system_identifier && before.timeline < identity.timeline;
    if !is_later {
        return None;
    }
    replication.switch_point(identity.timeline, before.timeline).await.ok()
}

//! The dead letters' part in the line: what is set aside goes to the table, and what is marked there goes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Line;
use crate::clock;
use crate::dead_letter::{Answer, Claim, Clerk, Desk, Owner, read_controls, read_standing};
use crate::fault::{Fault, FaultCode};
use crate::notice::Notices;
use crate::pipeline::Controls;
use crate::postgres::{Control, PostgresError, fault};
use crate::telemetry::Letters;

/// Keys are asked about this often, whether or not anything says that some are free.
const LOOK_AT_KEYS_EVERY: Duration = Duration::from_mins(1);

impl Line {
    /// The stream comes from there: letters go there too.
    pub(super) fn follow(&mut self, control: &Control, claim: Claim) {
        let place = (control.host().clone(), control.address());
        let Some((identity, _)) = &self.pipeline else { return };
        if let Some(notices) = &self.notices {
            notices.follow(place.clone());
        }
        if let Some(clerk) = &self.clerk {
            return clerk.follow(Owner { place, claim });
        }
        let system_identifier = identity.system_identifier;
        self.notices = Notices::start(&self.settings, &self.metrics, system_identifier, place.clone());
        let (settings, health) = (Arc::clone(&self.settings), self.health.clone());
        let owner = Owner { place, claim };
        self.clerk = Some(Clerk::start(settings, system_identifier, owner, health));
    }

    /// Takes what was given up and what was published again, asks the table what is to be asked, and hands on what is
    /// marked. Whether anything has moved.
    pub(super) fn tend_letters(&mut self) -> bool {
        let answer = self.clerk.as_mut().and_then(Clerk::answer);
        let has_moved = answer.is_some();
        if let Some(answer) = answer {
            self.answered(answer);
        }
        let (Some((_, pipeline)), Some(clerk)) = (&mut self.pipeline, &mut self.clerk) else {
            return has_moved;
        };
        for given_up in self.delivery.take_given_up() {
            if let Some(failure) = &given_up.failure {
                self.metrics.show_set_aside(failure.error_type);
            }
            self.desk.give_up(given_up, clock::now());
        }
        for ticket in pipeline.take_published_letters() {
            self.desk.acknowledge(ticket);
        }
        // Those that are here already wait too, and go first when somebody resumes.
        if !self.is_draining && pipeline.parking().controls().paused.is_none() {
            let delivery = &mut self.delivery;
            let send = |ticket, topic: &_, message: &_| delivery.send_ready(ticket, topic, message);
            self.desk.redrive(pipeline, clock::now(), send);
        }
        let ask = self.desk.next_ask();
        let is_asked = ask.is_some();
        if let Some(ask) = ask {
            clerk.ask(ask);
        }
        has_moved || is_asked
    }

    /// The table has answered.
    pub(super) fn answered(&mut self, answer: Answer) {
        let Some((_, pipeline)) = &mut self.pipeline else {
            return;
        };
        let may_be_news = !matches!(answer, Answer::Fetched(_));
        for committed_at in self.desk.answer(answer, pipeline) {
            self.metrics.show_acknowledged_commit(committed_at, clock::now());
        }
        if let (true, Some(notices)) = (may_be_news, &self.notices) {
            notices.wake();
        }
    }

    /// What is set aside, and what was published again, belongs to a history that is over.
    pub(super) fn forget_letters(&mut self) {
        self.clerk = None;
        self.notices = None;
        self.desk = Desk::default();
        drop(self.delivery.take_given_up());
    }

    /// So many letters are not resolved. An operator resolves some too: then rows of their keys need not wait any more.
    pub(super) fn note_letters(&mut self, unresolved: usize, are_full: bool, now: Instant) {
        let Some((_, pipeline)) = &mut self.pipeline else {
            return;
        };
        let parking = pipeline.parking_mut();
        let is_due = |at| now.duration_since(at) >= LOOK_AT_KEYS_EVERY;
        let are_fewer = unresolved < parking.unresolved();
        if parking.parked_keys() > 0 && (are_fewer || are_full || self.keys_looked_at.is_none_or(is_due)) {
            self.keys_looked_at = Some(now);
            self.desk.look_at(parking.keys_in_table());
        }
        parking.count(unresolved);
        let parked_keys = parking.parked_keys();
        self.health.set_letters(Letters {
            unresolved,
            parked_keys,
        });
    }

    /// Takes over the letters from whoever streamed before, and reads what a stream has to know that begins now. Not before
    /// the slot is this relay's own: another one's letters might come in between.
    pub(super) async fn take_letters_over(
        &mut self,
        control: &Control,
        system_identifier: u64,
    ) -> Option<Result<(), Fault>> {
        let (client, settings) = (Arc::clone(control.client()), Arc::clone(&self.settings));
        let read = async move {
            let claim = Claim::take(&client, &settings.postgres).await?;
            let failed = |error: PostgresError| fault(&error, &settings.postgres);
            let standing = read_standing(&client, &settings.postgres.slot, system_identifier).await;
            let controls = read_controls(&client, &settings).await.map_err(failed)?;
            Ok((claim, standing.map_err(failed)?, controls))
        };
        let (claim, standing, controls) = match self.meanwhile(read).await? {
            Ok(read) => read,
            Err(fault) => return Some(Err(fault)),
        };
        if let Some((_, pipeline)) = &mut self.pipeline {
            pipeline.parking_mut().read(standing);
        }
        self.obey(controls);
        self.follow(control, claim);
        Some(Ok(()))
    }

    /// Another relay has taken the letters over, and with them the slot.
    pub(super) fn outrun(&self) -> Option<Fault> {
        let is_outrun = self.clerk.as_ref().is_some_and(Clerk::is_outrun);
        is_outrun.then(|| {
            Fault::new(
                FaultCode::SlotActive,
                format!("another relay has begun on slot {}", self.settings.postgres.slot),
                "nothing: this relay takes over when the other one is gone",
            )
        })
    }

    /// What somebody has asked for.
    pub(super) fn obey(&mut self, controls: Controls) {
        if controls.is_redrive_asked && controls.paused.is_none() {
            self.desk.look_for_marked();
        }
        if let Some((_, pipeline)) = &mut self.pipeline {
            pipeline.parking_mut().obey(controls);
        }
    }

    /// Why nothing is taken from the slot, if somebody said so.
    pub(super) fn paused(&self) -> Option<&str> {
        let (_, pipeline) = self.pipeline.as_ref()?;
        pipeline.parking().controls().paused.as_deref()
    }
}

/// The line stands, because there is no room for one more letter.
pub(super) fn letters_full() -> Fault {
    Fault::new(
        FaultCode::DeadLettersFull,
        "the next row would be one dead letter more than dead_letters.letters_max and parked_keys_max allow",
        "`outbox-relay dead-letters list`: redrive or discard some, or, where a paused outbox's rows fill it, `outbox-relay resume \
         --outbox NAME`; nothing is published meanwhile, and nothing is lost",
    )
}

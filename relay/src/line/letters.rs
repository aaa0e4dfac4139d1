//! The dead letters' part in the line: what is set aside goes to the table, and what is marked there goes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Line;
use crate::clock;
use crate::dead_letter::{Answer, Clerk, Desk, Place, read_controls, read_standing};
use crate::fault::{Fault, FaultCode};
use crate::notice::Notices;
use crate::pipeline::Controls;
use crate::postgres::{PostgresError, Session, fault};

/// Keys are asked about this often, whether or not anything says that some are free.
const LOOK_AT_KEYS_EVERY: Duration = Duration::from_mins(1);

impl Line {
    /// The stream comes from there: letters go there too.
    pub(super) fn follow(&mut self, place: Place) {
        let Some((identity, _)) = &self.pipeline else { return };
        if let Some(notices) = &self.notices {
            notices.follow(place.clone());
        }
        if let Some(clerk) = &self.clerk {
            return clerk.follow(place);
        }
        let system_identifier = identity.system_identifier;
        self.notices = Notices::start(&self.settings, &self.metrics, system_identifier, place.clone());
        let (settings, health) = (Arc::clone(&self.settings), self.health.clone());
        self.clerk = Some(Clerk::start(settings, system_identifier, place, health));
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
    }

    /// Reads what a stream has to know that begins now.
    pub(super) async fn read_letters(&mut self, session: &Session) -> Option<Result<(), Fault>> {
        let (client, settings) = (Arc::clone(session.control.client()), Arc::clone(&self.settings));
        let system_identifier = session.identity.system_identifier;
        let read = async move {
            let standing = read_standing(&client, &settings.postgres.slot, system_identifier).await?;
            Ok((standing, read_controls(&client, &settings).await?))
        };
        let read: Result<_, PostgresError> = self.meanwhile(read).await?;
        Some(match read {
            Ok((standing, controls)) => {
                if let Some((_, pipeline)) = &mut self.pipeline {
                    pipeline.parking_mut().read(standing);
                }
                self.obey(controls);
                Ok(())
            }
            Err(error) => Err(fault(&error, &self.settings.postgres)),
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

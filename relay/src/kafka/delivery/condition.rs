//! What the rest of the relay is shown: how the brokers are, and how the line is.

use std::time::Instant;

use super::{Delivery, State};
use crate::kafka::policy;
use crate::kafka::produce::Producers;
use crate::kafka::reports::Brokers;
use crate::pipeline::{Pipeline, Ticket};
use crate::telemetry::{Condition, Part};

impl<P: Producers> Delivery<P> {
    /// Shows how the brokers are.
    pub(crate) fn show_brokers(&self) {
        match self.reports.brokers() {
            Brokers::Unknown | Brokers::Suspect(_) => {}
            Brokers::Up => self.health.set(Part::Kafka, Condition::Up),
            Brokers::Down(fault) => self.health.set(Part::Kafka, Condition::Down(fault)),
        }
    }

    pub(super) fn show_condition(&mut self, pipeline: &Pipeline, now: Instant) {
        let oldest = pipeline.ledger().unacknowledged().next();
        // While no broker answers, that is the reason, and its time is none in which they could have acknowledged. One of
        // several that refuses the relay raises a doubt again and again, which is over with the next answer.
        let could_come = matches!(self.state, State::Flowing(_)) && self.reports.could_brokers_acknowledge();
        if self.stall.is_stalled(oldest.filter(|_| could_come), now) {
            // One broker that refuses the relay holds its records back while the others answer.
            let why = self.renewal.why().cloned().unwrap_or_else(policy::stalled);
            self.health.set(Part::Kafka, Condition::Down(why));
        } else {
            self.show_brokers();
        }
        self.show_line(oldest, now);
    }

    /// While there is no producer, whatever stopped the line before is not what has to be mended now.
    fn show_line(&mut self, oldest: Option<Ticket>, now: Instant) {
        let is_flowing = matches!(self.state, State::Flowing(_));
        if self
            .blame
            .as_ref()
            .is_some_and(|blame| blame.is_over(oldest, is_flowing, now))
        {
            self.blame = None;
            self.retry.reset();
        }
        let blamed = self.blame.as_ref().and_then(|blame| blame.told(now));
        let fault = match &self.state {
            State::Waiting {
                obstacle: Some(obstacle),
                ..
            } => Some(obstacle),
            _ => blamed,
        };
        let condition = fault.cloned().map_or(Condition::Up, Condition::Down);
        self.health.set(Part::Line, condition);
    }
}

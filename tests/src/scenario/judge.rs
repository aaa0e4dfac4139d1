//! What a scenario looks at, and how it is judged at the end.

use std::fs;

use outbox_decoder::Lsn;

use super::Scenario;
use crate::consumer::{Consumer, Record};
use crate::failure::{Failure, Outcome, ensure};
use crate::history::History;
use crate::relay::Relay;
use crate::sampler::{Sample, Sampler, sample};
use crate::verifier::{Evidence, Report, verify};
use crate::wait::wait_for;

impl Scenario {
    /// What is confirmed and what can be read at this moment.
    ///
    /// # Errors
    /// A server does not answer.
    pub fn sample(&self) -> Outcome<Sample> {
        sample(&self.database()?, &self.consumer()?, &self.name, &self.topics)
    }

    /// Notes a fault: how slot and topics are now.
    ///
    /// # Errors
    /// A server does not answer.
    pub fn note_fault(&mut self) -> Outcome {
        self.faults.push(self.sample()?);
        Ok(())
    }

    /// What the slot has confirmed.
    ///
    /// # Errors
    /// The server does not answer, or there is no slot.
    pub fn confirmed(&self) -> Outcome<Lsn> {
        let confirmed = self.database()?.confirmed(&self.name)?;
        confirmed.ok_or_else(|| Failure::new("the slot is gone"))
    }

    /// Waits until everything that is committed by now is confirmed.
    ///
    /// # Errors
    /// It never is.
    #[track_caller]
    pub fn wait_until_confirmed(&self) -> Outcome {
        let database = self.database()?;
        let end = database.wal_end()?;
        wait_for(&format!("{end} to be confirmed"), || {
            match database.confirmed(&self.name).map_err(|failure| failure.to_string())? {
                Some(confirmed) if confirmed >= end => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// A client for the brokers.
    ///
    /// # Errors
    /// librdkafka refuses.
    pub fn consumer(&self) -> Outcome<Consumer> {
        Consumer::new(self.servers.bootstrap_servers()?)
    }

    /// Every record of every topic of this scenario.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn records(&self) -> Outcome<Vec<Record>> {
        self.consumer()?.read(&self.topics)
    }

    /// Waits until everything is confirmed, reads all topics and judges the run. Prints the report.
    ///
    /// # Errors
    /// A violation, a warning that nobody expected, or a server that does not answer, with the end of the relay's log.
    #[track_caller]
    pub fn verify(&mut self, relay: &Relay, history: &History) -> Outcome<Report> {
        let judged = self.wait_until_confirmed().and_then(|()| self.judge(relay, history));
        let judged = judged.and_then(|report| {
            let lines = relay.unexpected_lines();
            ensure(lines.is_empty(), || format!("unexpected in the log: {lines:?}"))?;
            Ok(report)
        });
        judged.map_err(|failure| Failure::new(format!("{failure}\n{}", relay.log_tail())))
    }

    /// Waits until everything is confirmed, reads all topics and says what is there, right or wrong.
    ///
    /// # Errors
    /// A server does not answer, or a relay panicked.
    #[track_caller]
    pub fn report(&mut self, relay: &Relay, history: &History) -> Outcome<Report> {
        let found = self.wait_until_confirmed().and_then(|()| self.find(relay, history));
        found.map_err(|failure| Failure::new(format!("{failure}\n{}", relay.log_tail())))
    }

    #[track_caller]
    fn judge(&mut self, relay: &Relay, history: &History) -> Outcome<Report> {
        let report = self.find(relay, history)?;
        report.accept()?;
        Ok(report)
    }

    #[track_caller]
    fn find(&mut self, relay: &Relay, history: &History) -> Outcome<Report> {
        let samples = self
            .sampler
            .as_mut()
            .map(Sampler::stop)
            .transpose()?
            .unwrap_or_default();
        let report = verify(Evidence {
            history: Some(history),
            records: &self.records()?,
            samples: &samples,
            faults: &self.faults,
            rebuilds: relay.figures()?.count("producer_rebuilds_total"),
            outages: &self.outages,
            sets_aside: self.settings.text("outbox.default.on_defect") == "set_aside",
        });
        println!("{}: {report}", self.name);
        let complaints = relay.complaints();
        ensure(complaints.is_empty(), || format!("scraped all along: {complaints:?}"))?;
        for nth in 1..=self.relays {
            let log = fs::read_to_string(self.file(&format!("relay-{nth}.log")))?;
            ensure(!log.contains("panicked at"), || format!("a relay panicked:\n{log}"))?;
        }
        Ok(report)
    }
}

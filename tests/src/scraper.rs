//! Scrapes a relay all along, as Prometheus and an orchestrator do, whatever else happens to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::admin::{Figures, ask};

const INTERVAL: Duration = Duration::from_millis(250);
/// More of the same would tell nothing new.
const COMPLAINTS_MAX: usize = 10;

/// A thread that scrapes until this is dropped or told to stop.
#[derive(Debug, Default)]
pub struct Scraper(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    complaints: Mutex<Vec<String>>,
}

impl Scraper {
    /// Scrapes the admin listener at this port.
    pub fn start(port: u16) -> Scraper {
        let scraper = Scraper::default();
        let shared = Arc::clone(&scraper.0);
        thread::spawn(move || {
            let mut counters = BTreeMap::new();
            while !shared.stopping.load(Ordering::Relaxed) {
                // One that does not listen yet, or is frozen, is the business of the scenario.
                if let Ok(answer) = ask(port, "/metrics") {
                    shared.judge(&answer, &mut counters);
                }
                let _ = ask(port, "/readyz");
                thread::sleep(INTERVAL);
            }
        });
        scraper
    }

    /// No more, as the relay ends and its port may become somebody else's.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Answers that must never come: refusals, and counters that went back.
    pub fn complaints(&self) -> Vec<String> {
        self.0.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn judge(&self, (status, body): &(u16, String), counters: &mut BTreeMap<String, f64>) {
        let mut found = Vec::new();
        if *status != 200 {
            found.push(format!("/metrics answered {status}: {body}"));
        }
        let now: BTreeMap<String, f64> = Figures::parse(body).counters().collect();
        for (name, before) in &*counters {
            match now.get(name) {
                Some(value) if value >= before => {}
                other => found.push(format!("{name} went from {before} to {other:?}")),
            }
        }
        *counters = now;
        if self.stopping.load(Ordering::Relaxed) {
            return;
        }
        let mut complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        found.truncate(COMPLAINTS_MAX.saturating_sub(complaints.len()));
        complaints.append(&mut found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_goes_back_or_away_is_told_and_a_gauge_is_not() {
        let (shared, mut counters) = (Shared::default(), BTreeMap::new());
        let mut scrape = |text: &str| shared.judge(&(200, text.to_owned()), &mut counters);
        scrape("outbox_relay_a_total 3\noutbox_relay_b_total{x=\"y\"} 1\noutbox_relay_gauge 9\n");
        scrape("outbox_relay_a_total 4\noutbox_relay_b_total{x=\"y\"} 1\noutbox_relay_gauge 2\n");
        assert!(shared.complaints.lock().expect("nobody panicked").is_empty());
        scrape("outbox_relay_a_total 2\n");
        let complaints = shared.complaints.lock().expect("nobody panicked").clone();
        assert_eq!(
            complaints,
            [
                "outbox_relay_a_total went from 4 to Some(2.0)",
                "outbox_relay_b_total{x=\"y\"} went from 1 to None"
            ]
        );
    }

    #[test]
    fn a_refused_scrape_is_told() {
        let (shared, mut counters) = (Shared::default(), BTreeMap::new());
        shared.judge(&(500, "no".to_owned()), &mut counters);
        assert_eq!(shared.complaints.lock().expect("nobody panicked").len(), 1);
    }
}

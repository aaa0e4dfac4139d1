//! Whoever holds the slot and makes of marked letters what the relay would.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::wait::wait_for;

/// A client that streams from the scenario's slot, until it is dropped.
pub(super) struct Holder(Child);

impl Holder {
    pub(super) fn of_slot(scenario: &Scenario) -> Outcome<Holder> {
        let name = scenario.name();
        let child = Command::new(scenario.servers.postgres()?.bin_dir.join("pg_recvlogical"))
            .args(["--start", "--file=/dev/null", "--option=proto_version=1"])
            .arg(format!("--slot={name}"))
            .arg(format!("--option=publication_names={name}"))
            .arg(format!("--dbname={}", scenario.conninfo()?))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let holder = Holder(child);
        let active = "SELECT active::text FROM pg_replication_slots WHERE slot_name = $1";
        wait_for("the slot to be held", || {
            let held = scenario.database().and_then(|database| database.text(active, &[&name]));
            match held {
                Ok(Some(active)) if active == "true" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })?;
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes what is marked while something else happens; events whose id begins with `bad` fail again.
pub(super) fn while_published<T: Send>(scenario: &Scenario, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let publish = "UPDATE outbox_relay.dead_letters
         SET state = CASE WHEN idempotency_key LIKE 'bad%' THEN 'failed' ELSE 'redriven' END, resolved_at = clock_timestamp()
         WHERE letter_id IN (SELECT letter_id FROM outbox_relay.dead_letters WHERE state = 'redriving'
             ORDER BY commit_lsn, ordinal LIMIT 100)";
    let database = scenario.database()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let relay = scope.spawn(|| {
            let mut published = Ok(());
            while !is_over.load(Ordering::Relaxed) && published.is_ok() {
                published = database.run(publish);
                thread::sleep(Duration::from_millis(20));
            }
            published
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        relay.join().unwrap_or(Ok(()))?;
        done
    })
}

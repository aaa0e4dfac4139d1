//! Removes what a scenario made on servers that outlive it.

use super::Scenario;
use crate::database::Database;
use crate::failure::Outcome;
use crate::wait::wait_for;

impl Drop for Scenario {
    fn drop(&mut self) {
        self.sampler = None;
        if self.servers.shares_kafka()
            && let Ok(topics) = self.servers.topics()
        {
            for topic in &self.topics {
                let _ = topics.delete(topic);
            }
        }
        if self.servers.shares_postgres() {
            let name = &self.name;
            let removed = self.drop_slot().and_then(|()| {
                self.administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
                self.administer(&format!(
                    "DROP ROLE IF EXISTS {name}, {name}_application, {name}_operator"
                ))
            });
            if let Err(failure) = removed {
                eprintln!("{name} could not be removed: {failure}");
            }
        }
    }
}

impl Scenario {
    pub(super) fn administer(&self, statement: &str) -> Outcome {
        let conninfo = format!("{} dbname=postgres", self.servers.postgres()?.conninfo());
        Database::connect(&conninfo)?.run(statement)
    }

    fn drop_slot(&self) -> Outcome {
        let conninfo = format!("{} dbname=postgres", self.servers.postgres()?.conninfo());
        let database = Database::connect(&conninfo)?;
        wait_for("the slot to be dropped", || {
            let dropped = database.rows(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
                 WHERE database = $1 AND pg_terminate_backend(coalesce(active_pid, 0)) IS NOT NULL",
                &[&self.name],
            );
            dropped.map(drop).map_err(|failure| failure.to_string())
        })
    }
}

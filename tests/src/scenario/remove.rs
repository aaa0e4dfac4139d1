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
                    "DROP ROLE IF EXISTS {name}, {name}_application, {name}_operator, {name}_auditor, {name}_janitor, {name}_sweeper"
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
        let found = "SELECT slot_name::text, active_pid FROM pg_replication_slots WHERE database = $1";
        for slot in database.rows(found, &[&self.name])? {
            let (slot, pid): (String, Option<i32>) = (slot.try_get(0)?, slot.try_get(1)?);
            // Only when it is still in use, and apart from the search: a condition may be tried on every slot there is.
            if let Some(pid) = pid {
                database.rows("SELECT pg_terminate_backend($1)", &[&pid])?;
            }
            wait_for("the slot to be dropped", || {
                let dropped = database.rows("SELECT pg_drop_replication_slot($1::text::name)", &[&slot]);
                dropped.map(drop).map_err(|failure| failure.to_string())
            })?;
        }
        Ok(())
    }
}

//! `outbox-relay slot create`.

use outbox_decoder::Lsn;

use super::{Failure, Login, Refusal, Slot};
use crate::fault::{Fault, FaultCode};
use crate::postgres::{
    Advisory, AdvisoryRow, PostgresError, ReplicationConnection, SlotCopies, SlotState, WAL_LEVEL_REMEDY,
    check_publication,
};
use crate::retention::{slot_begins, slot_ends};

/// Creating a slot waits for every transaction that is running.
pub(in crate::commands) const WAIT_MS: u64 = 120_000;
const NOT_IN_THIS_STATE: &str = "55000";
const DUPLICATE_OBJECT: &str = "42710";
/// The first version that keeps logical slots on standbys.
const FAILOVER_SINCE: i32 = 170_000;

impl Slot<'_> {
    pub(super) async fn create(&self, wait_ms: u64, failover: bool) -> Result<(), Failure> {
        if failover {
            self.check_failover().await?;
        }
        // A slot made before its publication could never decode what was written in between.
        check_publication(self.control.client(), self.settings).await?;
        let state = self.look().await?;
        match state {
            SlotState::Missing => self.make(wait_ms, failover).await,
            SlotState::Lost { .. } | SlotState::Foreign { .. } => Ok(state.must_be_free(self.name())?),
            SlotState::Free | SlotState::InUse(_) => self.leave(failover, &state).await,
        }
    }

    /// What is there stays, but for being kept on standbys.
    async fn leave(&self, failover: bool, state: &SlotState) -> Result<(), Failure> {
        if failover && !self.is_kept_on_standbys().await? {
            state.must_be_free(self.name())?;
            let kept = self.replication().await?.keep_slot_on_standbys(self.name()).await;
            kept.map_err(|error| self.failed(&error))?;
            println!(
                "slot {} existed already, and is kept on standbys from now on",
                self.name()
            );
            self.note("slot.create", "existed already; kept on standbys from now on")
                .await;
        } else {
            println!("slot {} exists already and is left as it is", self.name());
        }
        Ok(())
    }

    async fn is_kept_on_standbys(&self) -> Result<bool, Failure> {
        let copies = SlotCopies::look(self.control.client(), self.name()).await;
        Ok(copies.map_err(|error| self.failed(&error))?.is_kept)
    }

    pub(in crate::commands) async fn check_failover(&self) -> Result<(), Failure> {
        let statement = "SELECT current_setting('server_version_num')::int4, current_setting('server_version')";
        let row = self.control.client().query_one(statement, &[]).await;
        let said = row.and_then(|row| Ok((row.try_get::<_, i32>(0)?, row.try_get::<_, String>(1)?)));
        let (number, version) = said.map_err(|error| self.failed(&error.into()))?;
        if number >= FAILOVER_SINCE {
            return Ok(());
        }
        Err(Failure::new(
            Refusal::FailoverUnsupported,
            format!("this server is PostgreSQL {version}, which cannot keep a logical slot on its standbys"),
            "leave out `--failover`, and read docs/RECOVERY.md for what a failover means then",
        ))
    }

    pub(in crate::commands) async fn replication(&self) -> Result<ReplicationConnection, Failure> {
        let postgres = &self.settings.postgres;
        let connected = ReplicationConnection::connect(postgres, self.control.host(), self.control.address()).await;
        connected.map_err(|error| Login::Configured.refused(&error, postgres))
    }

    async fn make(&self, wait_ms: u64, failover: bool) -> Result<(), Failure> {
        let mut replication = self.replication().await?;
        let known = Advisory::read(self.control.client(), self.name()).await;
        let known = known.map_err(|error| self.failed(&error))?;
        self.forget_what_was_confirmed().await?;
        self.say_what_is_waited_for();
        match replication.create_slot(self.name(), failover, wait_ms).await {
            Ok(point) => {
                self.forget_the_last_relay().await?;
                let begun = slot_begins(self.control.client(), self.name(), &self.settings.postgres.publication).await;
                begun.map_err(|error| self.failed(&error))?;
                println!(
                    "slot {} starts at {point}: events committed from now on will be published",
                    self.name()
                );
                if let Some(known) = known {
                    say_what_is_left_out(&known, point);
                }
                self.note("slot.create", format!("starts at {point}")).await;
                Ok(())
            }
            Err(error) if error.sqlstate() == Some(DUPLICATE_OBJECT) => {
                // Somebody was faster; it may be anybody's.
                let state = self.look().await?;
                self.leave(failover, &state).await
            }
            Err(error) => Err(self.not_made(error).await),
        }
    }

    pub(in crate::commands) fn say_what_is_waited_for(&self) {
        eprintln!(
            "creating slot {}; this waits for every transaction that is running: SELECT pid, xact_start, query FROM \
             pg_stat_activity WHERE backend_xid IS NOT NULL",
            self.name()
        );
    }

    /// Before there is another slot of that name: one that begins later has not confirmed what an earlier one had yet to.
    pub(in crate::commands) async fn forget_what_was_confirmed(&self) -> Result<(), Failure> {
        let forgotten = slot_ends(self.control.client(), self.name()).await;
        forgotten.map_err(|error| self.failed(&error))
    }

    /// What it knew was of the slot before.
    pub(in crate::commands) async fn forget_the_last_relay(&self) -> Result<(), Failure> {
        let forgotten = Advisory::forget(self.control.client(), self.name()).await;
        forgotten.map_err(|error| self.failed(&error))
    }

    /// Why a slot was not made; it will not appear later either.
    pub(in crate::commands) async fn not_made(&self, error: PostgresError) -> Failure {
        let what = format!("slot {} could not be created: {error}", self.name());
        if error.sqlstate() == Some(NOT_IN_THIS_STATE) {
            return Fault::new(FaultCode::WalLevelTooLow, what, WAL_LEVEL_REMEDY).into();
        }
        let PostgresError::TimedOut { .. } = error else {
            return self.failed(&error);
        };
        if let Err(error) = self.give_up().await {
            return self.failed(&error);
        }
        Failure::new(
            Refusal::SlotCreationWaits,
            what,
            "look for a transaction that stays open in pg_stat_activity; end it, and try again",
        )
    }

    /// The server would go on waiting, and make the slot long after the command has ended.
    async fn give_up(&self) -> Result<(), PostgresError> {
        let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = current_user AND application_name = $1 AND starts_with(query, 'CREATE_REPLICATION_SLOT \"' || $2 || '\" ')";
        let (client, application_name) = (self.control.client(), &self.settings.postgres.application_name);
        client.execute(statement, &[application_name, &self.name()]).await?;
        Ok(())
    }
}

/// A slot that a relay has worked on was lost: a new one hides that.
fn say_what_is_left_out(known: &AdvisoryRow, point: Lsn) {
    eprintln!(
        "there was a slot of this name before, and a relay on it until {} or later: what committed after it had stopped \
         and before {point} does not come through this one\n  \
         next: `outbox-relay recover --keep-slot --since TIME`, from well before then, publishes what Kafka lacks of it; \
         docs/RECOVERY.md",
        known.written_at
    );
}

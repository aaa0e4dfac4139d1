//! A session with `PostgreSQL` that waits for each answer.

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

use outbox_decoder::Lsn;

use crate::failure::{Failure, Outcome};

/// One session. It works only while one of its functions is called.
pub struct Database {
    runtime: Runtime,
    client: Client,
}

impl Database {
    /// Opens a session.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn connect(conninfo: &str) -> Outcome<Database> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        })?;
        Ok(Database { runtime, client })
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// What the server says.
    #[track_caller]
    pub fn run(&self, statements: &str) -> Outcome {
        let outcome = self.runtime.block_on(self.client.batch_execute(statements));
        outcome.map_err(|error| about(statements, &Failure::from(error)))
    }

    /// Runs statements and says how they end: with nothing, or with the SQLSTATE of the server's refusal.
    ///
    /// # Errors
    /// The connection is gone.
    #[track_caller]
    pub fn attempt(&self, statements: &str) -> Outcome<Option<String>> {
        match self.runtime.block_on(self.client.batch_execute(statements)) {
            Ok(()) => Ok(None),
            Err(error) => match error.code() {
                Some(sqlstate) => Ok(Some(sqlstate.code().to_owned())),
                None => Err(about(statements, &Failure::from(error))),
            },
        }
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// What the server says.
    #[track_caller]
    pub fn rows(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Outcome<Vec<Row>> {
        let outcome = self.runtime.block_on(self.client.query(statement, parameters));
        outcome.map_err(|error| about(statement, &Failure::from(error)))
    }

    /// The first column of the first row, which must be a text; `None` without a row or with a NULL.
    ///
    /// # Errors
    /// What the server says.
    #[track_caller]
    pub fn text(&self, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Outcome<Option<String>> {
        let rows = self.rows(statement, parameters)?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// The end of the WAL that is on disk.
    ///
    /// # Errors
    /// What the server says.
    pub fn wal_end(&self) -> Outcome<Lsn> {
        let text = self.text("SELECT pg_current_wal_flush_lsn()::text", &[])?;
        Ok(text.unwrap_or_default().parse()?)
    }

    /// The confirmed position of a slot; `None` when there is no such slot.
    ///
    /// # Errors
    /// What the server says.
    pub fn confirmed(&self, slot: &str) -> Outcome<Option<Lsn>> {
        let statement = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
        let text = self.text(statement, &[&slot])?;
        Ok(text.map(|text| text.parse()).transpose()?)
    }
}

#[track_caller]
fn about(statement: &str, failure: &Failure) -> Failure {
    let start: String = statement.chars().take(200).collect();
    Failure::new(format!("{failure}\n  in: {start}"))
}

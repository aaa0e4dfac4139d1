//! The database under measurement, asked one question after another.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Row, Statement};

use outbox_relay_tests::stack::PostgresFacts;

use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How soon a signal ends a statement.
const LOOK_UP: Duration = Duration::from_millis(100);
/// A slot is free a moment after its reader has gone.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// A connection as the superuser.
#[derive(Debug)]
pub(crate) struct Database {
    runtime: Runtime,
    client: Client,
    interrupt: Interrupt,
}

impl Database {
    /// Makes a database of this name and connects to it.
    pub(crate) fn create(facts: &PostgresFacts, name: &str, interrupt: &Interrupt) -> Result<Database, Failure> {
        let server = Database::connect(facts, "postgres", interrupt)?;
        server.execute("make a database", &format!("CREATE DATABASE {name}"))?;
        let database = Database::connect(facts, name, interrupt)?;
        // The rows that are filled in need not be on disk when their commit returns.
        database.execute("take a setting", "SET synchronous_commit = off")?;
        Ok(database)
    }

    /// Another connection, with the server's own settings.
    pub(crate) fn connect(facts: &PostgresFacts, name: &str, interrupt: &Interrupt) -> Result<Database, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::file("make a runtime for", "this process".as_ref()))?;
        let target = format!("{} dbname={name}", facts.conninfo());
        let connected = runtime.block_on(tokio_postgres::connect(&target, NoTls));
        let (client, connection) = connected.map_err(Failure::postgres("take the connection"))?;
        // Its end shows in the next statement.
        runtime.spawn(async move { drop(connection.await) });
        Ok(Database {
            runtime,
            client,
            interrupt: interrupt.clone(),
        })
    }

    /// Runs statements; a signal leaves them unfinished.
    pub(crate) fn execute(&self, action: &'static str, sql: &str) -> Result<(), Failure> {
        self.block_on(self.client.batch_execute(sql))?
            .map_err(Failure::postgres(action))
    }

    /// Prepares a statement that takes two numbers.
    pub(crate) fn prepare(&self, action: &'static str, sql: &str) -> Result<Statement, Failure> {
        self.block_on(self.client.prepare(sql))?
            .map_err(Failure::postgres(action))
    }

    /// Inserts the rows between two numbers as one transaction. Their commit has returned with it.
    pub(crate) fn insert(&self, statement: &Statement, first: i32, last: i32) -> Result<(), Failure> {
        self.block_on(self.client.execute(statement, &[&first, &last]))?
            .map_err(Failure::postgres("take the rows"))?;
        Ok(())
    }

    fn row(&self, action: &'static str, sql: &str) -> Result<Row, Failure> {
        self.block_on(self.client.query_one(sql, &[]))?
            .map_err(Failure::postgres(action))
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return Ok(done),
                    () = tokio::time::sleep(LOOK_UP) => self.interrupt.check()?,
                }
            }
        })
    }

    /// Where the WAL ends now, rows included that are not on disk yet.
    pub(crate) fn end_of_wal(&self) -> Result<String, Failure> {
        Ok(self
            .row("say where its WAL ends", "SELECT pg_current_wal_insert_lsn()::text")?
            .get(0))
    }

    /// WAL that was written since an earlier end.
    pub(crate) fn wal_bytes_since(&self, end: &str) -> Result<f64, Failure> {
        let sql = format!("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{end}')::float8");
        Ok(self.row("say how much WAL there is", &sql)?.get(0))
    }

    /// How many rows a table has, or of those a condition leaves.
    pub(crate) fn count(&self, of: &str) -> Result<i64, Failure> {
        Ok(self.row("count rows", &format!("SELECT count(*) FROM {of}"))?.get(0))
    }

    /// Makes a slot that has nothing to send yet.
    pub(crate) fn create_slot(&self, slot: &str) -> Result<(), Failure> {
        let sql = format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')");
        self.execute("make a slot", &sql)
    }

    /// Makes a slot at the very position of another one: what it has to send is the same.
    pub(crate) fn copy_slot(&self, from: &str, to: &str) -> Result<(), Failure> {
        let sql = format!("SELECT pg_copy_logical_replication_slot('{from}', '{to}')");
        self.execute("copy a slot", &sql)
    }

    /// Drops a slot once its reader has gone.
    pub(crate) fn drop_slot(&self, slot: &str) -> Result<(), Failure> {
        let begin = std::time::Instant::now();
        while self.walsender(slot)?.is_some() && begin.elapsed() < RELEASE_LIMIT {
            self.interrupt.pass(ASK_AGAIN)?;
        }
        self.execute("drop a slot", &format!("SELECT pg_drop_replication_slot('{slot}')"))
    }

    /// Whether whoever reads from a slot has confirmed everything up to there.
    pub(crate) fn has_confirmed(&self, slot: &str, end: &str) -> Result<bool, Failure> {
        let sql = format!("SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'");
        Ok(self.row("say what is confirmed", &sql)?.get(0))
    }

    /// The process that serves a slot, once somebody reads from it.
    pub(crate) fn walsender(&self, slot: &str) -> Result<Option<u32>, Failure> {
        let sql = format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'");
        let pid: Option<i32> = self.row("say who reads from a slot", &sql)?.get(0);
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()))
    }
}

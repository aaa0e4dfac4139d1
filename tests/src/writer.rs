//! A session that writes outbox rows and remembers what became of them.

use crate::database::Database;
use crate::failure::{Failure, Outcome};
use crate::history::{History, WrittenRow};
use crate::table::TableShape;
use crate::wait::wait_for;

/// Where and what to write.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// How to reach the database.
    pub conninfo: String,
    /// The table.
    pub shape: TableShape,
    /// Decides the topic.
    pub aggregate_type: String,
    /// The topic that it decides.
    pub topic: String,
    /// The keys; no other writer may use them.
    pub keys: Vec<String>,
    /// Text that is added to every payload.
    pub filler: String,
}

/// Writes transactions, one at a time.
pub struct Writer {
    options: WriterOptions,
    insert: String,
    database: Database,
    history: History,
    open: Option<OpenTransaction>,
    written: u64,
}

#[derive(Default)]
struct OpenTransaction {
    xid: u32,
    rows: Vec<WrittenRow>,
    savepoint: Option<usize>,
    committing: bool,
}

impl Writer {
    /// Connects.
    ///
    /// # Errors
    /// The server does not answer, or refuses.
    pub fn connect(options: WriterOptions) -> Outcome<Writer> {
        let database = Database::connect(&options.conninfo)?;
        Ok(Writer {
            insert: options.shape.insert(),
            database,
            history: History::default(),
            open: None,
            written: 0,
            options,
        })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// What the server says.
    pub fn begin(&mut self) -> Outcome {
        self.open = Some(OpenTransaction::default());
        self.database.run("BEGIN")?;
        let number = "SELECT (pg_current_xact_id()::text::numeric % 4294967296)::text";
        let xid = self.database.text(number, &[])?.unwrap_or_default().parse()?;
        self.transaction()?.xid = xid;
        Ok(())
    }

    /// Inserts rows, by turns for each key, with one statement.
    ///
    /// # Errors
    /// What the server says; there is no open transaction.
    pub fn insert(&mut self, rows: usize) -> Outcome {
        let filler = self.options.filler.clone();
        self.insert_payloads((0..rows).map(|_| filler.clone()).collect())
    }

    /// Inserts a row for each text, which becomes a part of the row's payload, with one statement.
    ///
    /// # Errors
    /// What the server says; there is no open transaction.
    pub fn insert_payloads(&mut self, texts: Vec<String>) -> Outcome {
        let xid = self.transaction()?.xid;
        let rows: Vec<WrittenRow> = texts.into_iter().map(|text| self.next_row(xid, &text)).collect();
        let column = |part: fn(&WrittenRow) -> &String| rows.iter().map(part).collect::<Vec<_>>();
        let (ids, keys) = (column(|row| &row.id), column(|row| &row.key));
        let payloads = column(|row| &row.payload);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&ids, &keys, &payloads, &self.options.aggregate_type];
        let outcome = self.database.rows(&self.insert, &parameters).map(drop);
        // Remembered in any case: should the insert have failed, none of them may ever be seen.
        self.transaction()?.rows.extend(rows);
        outcome
    }

    /// The next row to write: new id, next key, a payload that is found nowhere else.
    pub fn next_row(&mut self, xid: u32, text: &str) -> WrittenRow {
        let turn = usize::try_from(self.written).unwrap_or_default() % self.options.keys.len().max(1);
        let key = self.options.keys.get(turn).cloned().unwrap_or_default();
        self.written += 1;
        let id = uuid::Uuid::new_v4().to_string();
        WrittenRow {
            topic: self.options.topic.clone(),
            payload: format!("{{\"id\": \"{id}\", \"nth\": {}, \"text\": \"{text}\"}}", self.written),
            id,
            key,
            xid,
        }
    }

    /// Runs any statement in the open transaction.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&mut self, statement: &str) -> Outcome {
        self.database.run(statement)
    }

    /// Sets a savepoint.
    ///
    /// # Errors
    /// What the server says; there is no open transaction.
    pub fn savepoint(&mut self) -> Outcome {
        let open = self.transaction()?;
        open.savepoint = Some(open.rows.len());
        self.database.run("SAVEPOINT here")
    }

    /// Takes back everything since the savepoint.
    ///
    /// # Errors
    /// What the server says; there is no savepoint.
    pub fn roll_back_to_savepoint(&mut self) -> Outcome {
        let open = self.transaction()?;
        let kept = open.savepoint.ok_or_else(|| Failure::new("there is no savepoint"))?;
        let taken_back = open.rows.split_off(kept);
        self.history
            .rolled_back
            .extend(taken_back.into_iter().map(|row| row.id));
        self.database.run("ROLLBACK TO SAVEPOINT here")
    }

    /// Commits. After an error the outcome is not known until [`Writer::recover`].
    ///
    /// # Errors
    /// What the server says; there is no open transaction.
    pub fn commit(&mut self) -> Outcome {
        self.transaction()?.committing = true;
        self.database.run("COMMIT")?;
        self.close(true);
        Ok(())
    }

    /// Rolls back.
    ///
    /// # Errors
    /// What the server says.
    pub fn roll_back(&mut self) -> Outcome {
        self.database.run("ROLLBACK")?;
        self.close(false);
        Ok(())
    }

    /// One transaction with this number of rows.
    ///
    /// # Errors
    /// What the server says.
    pub fn write(&mut self, rows: usize) -> Outcome {
        self.begin()?;
        self.insert(rows)?;
        self.commit()
    }

    /// Connects again after the server was away, and finds out what became of the last transaction.
    ///
    /// # Errors
    /// The server does not come back.
    pub fn recover(&mut self) -> Outcome {
        wait_for("PostgreSQL to come back", || {
            let again = Database::connect(&self.options.conninfo).map_err(|failure| failure.to_string())?;
            let committed = self.was_committed(&again).map_err(|failure| failure.to_string())?;
            self.database = again;
            self.close(committed);
            Ok(())
        })
    }

    /// What it did.
    pub fn into_history(mut self) -> History {
        self.close(false);
        self.history
    }

    fn was_committed(&self, database: &Database) -> Outcome<bool> {
        let last = self.open.as_ref().filter(|open| open.committing);
        let Some((row, id)) = last.and_then(|open| open.rows.last()).zip(self.options.shape.id) else {
            return Ok(false);
        };
        let table = self.options.shape.table;
        let found = database.rows(&format!("SELECT FROM {table} WHERE {id} = $1::text::uuid"), &[&row.id])?;
        Ok(!found.is_empty())
    }

    fn transaction(&mut self) -> Outcome<&mut OpenTransaction> {
        self.open
            .as_mut()
            .ok_or_else(|| Failure::new("there is no open transaction"))
    }

    fn close(&mut self, committed: bool) {
        let rows = self.open.take().map(|open| open.rows).unwrap_or_default();
        if committed {
            self.history.committed.extend(rows);
        } else {
            self.history.rolled_back.extend(rows.into_iter().map(|row| row.id));
        }
    }
}

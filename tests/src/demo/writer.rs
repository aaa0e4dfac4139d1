//! Writes the shop's transactions: its own tables and the outbox together, or neither.

use std::time::Instant;

use tokio_postgres::{Client, Error, NoTls, Transaction};

use super::shop::{Change, Event, Step};
use crate::stack::PostgresFacts;

/// The database, and the role the shop logs in as, which may insert into the outbox and no more.
pub(super) const DATABASE: &str = "shop";
pub(super) const ROLE: &str = "shop";
pub(super) const PASSWORD: &str = "shop";

const TABLES: &str = "
    CREATE TABLE customers (id text PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (
        id          text PRIMARY KEY,
        customer_id text NOT NULL REFERENCES customers,
        status      text NOT NULL,
        total       numeric(10, 2) NOT NULL
    );
    CREATE ROLE shop LOGIN PASSWORD 'shop' IN ROLE outbox_application;
    GRANT SELECT, INSERT, UPDATE ON customers, orders TO shop;";
const SAVE_CUSTOMER: &str = "INSERT INTO customers (id, name) VALUES ($1, $2)";
const SAVE_ORDER: &str = "
    INSERT INTO orders (id, customer_id, status, total) VALUES ($1, $2, $3, $4::text::numeric)
    ON CONFLICT (id) DO UPDATE SET status = excluded.status";
const SAVE_EVENT: &str = "
    INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, metadata, version)
    VALUES ($1::text::uuid, $2, $3, $4, $5::text::json, $6::text::jsonb, $7)";

/// Makes the shop's database; the outbox in it is left to `outbox-relay migrate`.
pub(super) async fn create_database(facts: &PostgresFacts) -> Result<(), Error> {
    let client = connect(&facts.conninfo()).await?;
    client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await
}

/// Makes the shop's own tables and its role, after `outbox-relay migrate`.
pub(super) async fn create_tables(facts: &PostgresFacts) -> Result<(), Error> {
    let client = connect(&format!("{} dbname={DATABASE}", facts.conninfo())).await?;
    client.batch_execute(TABLES).await
}

/// The ids of all committed outbox rows, whoever wrote them.
pub(super) async fn committed_ids(facts: &PostgresFacts) -> Result<Vec<String>, Error> {
    let client = connect(&format!("{} dbname={DATABASE}", facts.conninfo())).await?;
    // Of other types the demo does not read the topics.
    let statement = "SELECT id::text FROM outbox WHERE aggregate_type IN ('customer', 'order')";
    let rows = client.query(statement, &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The shop's session.
pub(super) struct Writer {
    client: Client,
}

impl Writer {
    pub(super) async fn connect(facts: &PostgresFacts) -> Result<Writer, Error> {
        let port = facts.port;
        let conninfo = format!(
            "host=127.0.0.1 port={port} user={ROLE} password={PASSWORD} dbname={DATABASE} application_name=shop"
        );
        let client = connect(&conninfo).await?;
        Ok(Writer { client })
    }

    /// Runs one transaction; gives the time COMMIT (or ROLLBACK) was sent.
    pub(super) async fn write(&mut self, step: &Step) -> Result<Instant, Error> {
        let transaction = self.client.transaction().await?;
        for event in &step.events {
            save_change(&transaction, event).await?;
            save_event(&transaction, event).await?;
        }
        let at = Instant::now();
        if step.refused.is_some() {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        Ok(at)
    }
}

async fn save_change(transaction: &Transaction<'_>, event: &Event) -> Result<u64, Error> {
    let id = &event.aggregate_id;
    match &event.change {
        Change::Customer { name } => transaction.execute(SAVE_CUSTOMER, &[id, name]).await,
        Change::Order {
            customer,
            status,
            total,
        } => {
            transaction
                .execute(SAVE_ORDER, &[id, customer, &status.name(), total])
                .await
        }
    }
}

async fn save_event(transaction: &Transaction<'_>, event: &Event) -> Result<u64, Error> {
    let (payload, metadata) = (event.payload.to_string(), event.metadata.to_string());
    transaction
        .execute(
            SAVE_EVENT,
            &[
                &event.id,
                &event.aggregate_type,
                &event.aggregate_id,
                &event.event_type,
                &payload,
                &metadata,
                &event.version,
            ],
        )
        .await
}

async fn connect(conninfo: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await?;
    // Its error reaches the client's next call, too.
    tokio::spawn(connection);
    Ok(client)
}

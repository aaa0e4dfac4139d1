//! outbox-relay: moves outbox rows from a PostgreSQL logical replication slot into Kafka without losing one.

pub mod pipeline;

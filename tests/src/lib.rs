//! What the tests, the benchmark and the demonstration stand on: a real `PostgreSQL` and a real Apache Kafka.

pub mod admin;
pub mod broker_rules;
pub mod campaign;
pub mod certificates;
pub mod consumer;
pub mod database;
pub mod demo;
pub mod failure;
pub mod history;
pub mod impostor;
pub mod load;
pub mod program;
pub mod proxy;
pub mod relay;
pub mod sampler;
pub mod scenario;
pub mod servers;
pub mod settings;
pub mod setup;
pub mod stack;
pub mod table;
pub mod tls_server;
pub mod verifier;
pub mod wait;
pub mod weather;
pub mod writer;

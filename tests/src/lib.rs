//! What the tests, the benchmark and the demonstration stand on: a real `PostgreSQL` and a real Apache Kafka.

pub mod stack;

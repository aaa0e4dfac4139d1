//! End-to-end tests: a real relay between a real `PostgreSQL` and a real Kafka, disturbed in every way that the promises
//! speak of. One module for each subject.
//!
//! `stack run -- cargo test -p outbox-relay-tests --test scenarios` runs them; most share that stack, side by side, and
//! those that break servers start their own.

mod admin_requests;
mod bad_input;
mod broker_faults;
mod clocks;
mod codes;
mod commands;
mod connections;
mod consumers;
mod cut_connections;
mod dead_letters;
mod dead_letters_decided;
mod dead_letters_topic;
mod delivery_state;
mod demo;
mod disks;
mod doors;
mod failover;
mod fatal_errors;
mod figures;
mod guarantees;
mod halted_line;
mod kafka_doors;
mod named_states;
mod network;
mod operating;
mod ownership;
mod poison_rows;
mod postgres_faults;
mod privileges;
mod producers;
mod records;
mod recovery;
mod relay_stops;
mod retention;
mod role_matrix;
mod secrets;
mod server_identity;
mod size;
mod status_updates;
mod tables;
mod three_brokers;
mod topics;
mod transactions;
mod unix_socket;
mod versions;

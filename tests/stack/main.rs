//! The local stack itself: it starts real servers, and leaves nothing behind.

use std::error::Error;
use std::fs;
use std::path::Path;

use outbox_relay_tests::stack::{Kafka, KafkaOptions, Options, ProcessRecord, Stack, StackError, StopMode, is_open};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio_postgres::NoTls;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_table_and_a_topic_survive_a_restart_and_a_dropped_stack_leaves_nothing() -> Outcome {
    let mut stack = Stack::start("test-lifecycle", &Options::with_brokers(1)?)?;
    sql(&stack, "CREATE TABLE kept AS SELECT 42 AS answer")?;
    stack.kafka.create_topic("kept", 3, &[("max.message.bytes", "2000")])?;

    stack.postgres.stop(StopMode::Kill)?;
    assert!(!is_open(stack.postgres.port()));
    stack.postgres.start_again()?;
    stack.kafka.kill(0)?;
    stack.kafka.start_again(0)?;
    assert_eq!(sql(&stack, "SELECT answer::text FROM kept")?, "42");
    assert_eq!(sql(&stack, "SHOW wal_level")?, "logical");
    assert_eq!(partitions(&stack, "kept")?, 3);
    stack.kafka.alter_topic("kept", &[("cleanup.policy", "compact")])?;
    stack.kafka.delete_topic("kept")?;
    assert_eq!(partitions(&stack, "kept")?, 0);

    let second = Stack::start("test-lifecycle", &Options::with_brokers(1)?);
    assert!(
        matches!(second, Err(StackError::InUse { .. })),
        "a name in use was given out again"
    );

    let state = stack.state();
    assert_eq!(state.processes.len(), 2);
    let (state_file, port) = (stack.state_file().to_owned(), stack.postgres.port());
    drop(stack);
    let left: Vec<&ProcessRecord> = state.processes.iter().filter(|process| process.is_alive()).collect();
    assert!(left.is_empty(), "still running: {left:?}");
    assert!(!state_file.exists() && !state.data.exists() && !is_open(port));
    assert_eq!(processes_mentioning(&state.data), 0);
    Ok(())
}

#[test]
fn of_three_nodes_one_may_be_killed_stopped_or_frozen_and_comes_back() -> Outcome {
    let mut kafka = Kafka::start(&KafkaOptions::named("test-three").brokers(3))?;
    assert_eq!(kafka.bootstrap_servers().split(',').count(), 3);
    kafka.create_topic("replicated", 6, &[])?;
    kafka.kill(1)?;
    assert!(matches!(kafka.kill(1), Err(StackError::NotRunning { .. })));
    kafka.create_topic("meanwhile", 1, &[])?;
    kafka.start_again(1)?;
    assert!(matches!(kafka.start_again(1), Err(StackError::Running { .. })));
    kafka.stop(2)?;
    assert!(!kafka.is_running(2));
    kafka.start_again(2)?;

    let frozen = kafka.pid(0);
    kafka.freeze(0)?;
    assert_eq!(process_state(frozen), Some('T'));
    kafka.thaw(0)?;
    assert_ne!(process_state(frozen), Some('T'));
    kafka.freeze(0)?;
    drop(kafka);
    assert_eq!(process_state(frozen), None, "a frozen node outlived the stack");
    Ok(())
}

#[test]
fn a_server_that_refuses_to_start_is_reported_with_its_own_words() -> Outcome {
    let mut options = Options::with_brokers(1)?;
    options.postgres = options.postgres.set("wal_level", "nonsense");
    let refused = Stack::start("test-refused", &options)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(refused.contains("PostgreSQL ended while starting"), "{refused}");
    assert!(
        refused.contains("invalid value for parameter \"wal_level\""),
        "{refused}"
    );
    Ok(())
}

/// The first column of the first row over TCP with the password, or an empty text.
fn sql(stack: &Stack, statement: &str) -> Result<String, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&stack.postgres.facts().conninfo(), NoTls).await?;
        tokio::spawn(connection);
        let messages = client.simple_query(statement).await?;
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(row.unwrap_or_default())
    })
}

fn partitions(stack: &Stack, topic: &str) -> Result<usize, Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stack.kafka.bootstrap_servers())
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), std::time::Duration::from_secs(10))?;
    Ok(metadata.topics().iter().map(|topic| topic.partitions().len()).sum())
}

/// The state letter of a process, `None` when there is none.
fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// Processes with the folder in their command line.
fn processes_mentioning(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    let lines = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(&folder))
        .count()
}

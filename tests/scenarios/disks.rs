//! Disks that are full for a while: PostgreSQL's, the broker's, and the one that the log goes to; and a log that nobody reads
//! (P1, P7).

use std::fs::{self, File};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::small_disk::SmallDisk;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

const NO_ROOM: &str = "No space left on device";
const POSTGRES_DISK_MIB: u32 = 256;
const KAFKA_DISK_MIB: u32 = 64;

/// The transaction is larger than what the walsender holds in memory, so that it needs the disk to decode it.
#[test]
fn a_postgresql_whose_disk_is_full_is_waited_for_and_nothing_is_lost() -> Outcome {
    let disk = SmallDisk::mount(POSTGRES_DISK_MIB)?;
    let settings = [
        ("logical_decoding_work_mem", "64kB"),
        ("min_wal_size", "32MB"),
        ("max_wal_size", "64MB"),
    ];
    let setup = Setup::new("full_postgres").private_postgres(&settings);
    let mut scenario = setup.postgres_disk(disk.path()).start()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(5_000)?;
    disk.fill()?;
    let mut relay = scenario.relay()?;
    let readiness = relay.wait_for_fault("postgres_refused")?;
    ensure(readiness.body.contains(NO_ROOM), || readiness.body.clone())?;
    let mut refused = 0;
    for _ in 0..50 {
        refused += usize::from(writer.write(1_000).is_err());
    }
    ensure(refused > 0, || "the application had room".to_owned())?;
    disk.free()?;
    let server = scenario.servers.own_postgres()?;
    if !server.is_running() {
        server.start_again()?;
    }
    writer.recover()?;
    relay.may_show("postgres_unreachable");
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_broker_that_ends_because_its_disk_is_full_is_waited_for_and_nothing_is_lost() -> Outcome {
    let disk = SmallDisk::mount(KAFKA_DISK_MIB)?;
    let mut scenario = Setup::new("full_kafka").kafka_disk(disk.path()).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(100)?;
    scenario.wait_until_confirmed()?;
    disk.fill()?;
    relay.may_show("kafka_unreachable");
    relay.may_show("delivery_failed");
    writer.write(2_000)?;
    let kafka = scenario.servers.own_kafka()?;
    wait_for("the broker to give up", || {
        if kafka.is_running(0) {
            Err("it runs".to_owned())
        } else {
            Ok(())
        }
    })?;
    let said = fs::read_to_string(kafka.log_file(0)?)?;
    ensure(said.contains(NO_ROOM) || said.contains("unsafe memory access"), || {
        "the broker ended for another reason".to_owned()
    })?;
    relay.wait_for_fault("kafka_unreachable")?;
    relay.wait_for_figure("in_flight_events", |records| records > 0.0)?;
    disk.free()?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing_and_goes_on_when_it_can() -> Outcome {
    let disk = SmallDisk::mount(1)?;
    disk.fill()?;
    let log = disk.path().join("relay.log");
    let mut scenario = Setup::new("full_log").private_kafka().start()?;
    let mut relay = scenario.relay_logging_to(&log)?;
    relay.wait_for_phase("streaming")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(100)?;
    scenario.wait_until_confirmed()?;
    // Something to say.
    scenario.servers.own_kafka()?.kill(0)?;
    writer.write(100)?;
    relay.wait_for_fault("kafka_unreachable")?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history())?;
    ensure(relay.log().is_empty(), || "the log had room".to_owned())?;
    disk.free()?;
    let code = relay.terminate()?;
    ensure(code == Some(0), || format!("exit code {code:?}"))?;
    ensure(relay.log().contains("published and confirmed"), || relay.log_tail())
}

#[test]
fn a_log_that_nobody_reads_holds_nothing_up_and_what_is_dropped_is_counted() -> Outcome {
    let setup = Setup::new("unread_log").set("log.filter", "trace");
    let mut scenario = setup.set("kafka.properties.debug", "all").start()?;
    let pipe = scenario.file("pipe");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // Held open, so that whoever writes finds a reader; it never reads.
    let reader = File::options().read(true).write(true).open(&pipe)?;
    let mut relay = scenario.relay_logging_to(&pipe)?;
    relay.wait_for_phase("streaming")?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    // Each transaction is a line or more; the pipe holds 64 KiB, the queue in front of it a thousand lines.
    for _ in 0..5_000 {
        writer.write(1)?;
    }
    relay.wait_for_figure("log_lines_dropped_total", |lines| lines > 0.0)?;
    scenario.wait_until_confirmed()?;
    scenario.verify(&relay, &writer.into_history())?;
    let code = relay.terminate()?;
    drop(reader);
    ensure(code == Some(0), || format!("exit code {code:?}"))
}

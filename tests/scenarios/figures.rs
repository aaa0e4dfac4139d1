//! What the metrics say is what has happened.

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

const KILLS: usize = 8;

/// PostgreSQL's own time: what commits are stamped with.
fn clock_s(database: &Database) -> Outcome<f64> {
    let now = database.text("SELECT extract(epoch FROM clock_timestamp())::text", &[])?;
    Ok(now.unwrap_or_default().parse()?)
}

/// Writes one transaction, and tells between which times it committed.
fn write_between(writer: &mut Writer, database: &Database, rows: usize) -> Outcome<(f64, f64)> {
    let before = clock_s(database)?;
    writer.write(rows)?;
    Ok((before, clock_s(database)?))
}

fn is_between(what: &str, figure: f64, (before, after): (f64, f64)) -> Outcome {
    ensure((before..=after).contains(&figure), || {
        format!("{what} is {figure}, not between {before} and {after}")
    })
}

/// Each relay is killed after it has acknowledged more than its predecessor can have left to repeat.
#[test]
fn the_duplicates_that_consumers_see_after_kills_are_all_counted() -> Outcome {
    let mut scenario = Setup::new("counted").start()?;
    let load = scenario.load()?;
    let mut possible = 0;
    for _ in 0..KILLS {
        let mut relay = scenario.streaming_relay()?;
        let published = f64::from(fastrand::u32(1_000..1_500));
        relay.wait_for_figure("events_acked_total", |acknowledged| acknowledged >= published)?;
        possible += relay.figures()?.count("possible_duplicates_total");
        relay.kill()?;
        scenario.note_fault()?;
    }
    let relay = scenario.streaming_relay()?;
    let history = load.stop()?;
    let report = scenario.verify(&relay, &history)?;
    possible += relay.figures()?.count("possible_duplicates_total");
    ensure(report.duplicates > 0, || format!("no kill hit anything: {report}"))?;
    ensure(possible >= report.duplicates, || {
        format!("{possible} possible duplicates, and {report}")
    })
}

#[test]
fn the_time_from_commit_to_acknowledgement_is_taken_once_for_each_transaction() -> Outcome {
    let mut scenario = Setup::new("latency").start()?;
    let relay = scenario.streaming_relay()?;
    let (mut writer, database) = (Writer::connect(scenario.writer()?)?, scenario.database()?);
    let begin = clock_s(&database)?;
    for rows in 1..=20 {
        writer.write(rows)?;
        writer.begin()?;
        writer.insert(rows)?;
        writer.roll_back()?;
    }
    let last = write_between(&mut writer, &database, 1)?;
    scenario.verify(&relay, &writer.into_history())?;
    let spent = clock_s(&database)? - begin;

    let figures = relay.figures()?;
    let (count, sum) = (
        figures.count("commit_to_ack_seconds_count"),
        figures.get("commit_to_ack_seconds_sum"),
    );
    ensure(count == 21, || format!("{count} times for 21 transactions"))?;
    ensure(sum > 0.0 && sum <= spent * 21.0, || {
        format!("{sum} s in all, and {spent} s have passed")
    })?;
    for figure in [
        "last_received_commit_timestamp_seconds",
        "last_acked_commit_timestamp_seconds",
    ] {
        is_between(figure, figures.get(figure), last)?;
    }
    let oldest = figures.get("oldest_unacked_commit_timestamp_seconds");
    ensure(oldest == 0.0, || format!("{oldest} is not acknowledged"))
}

#[test]
fn a_halted_line_shows_what_failed_and_since_when_nothing_is_acknowledged() -> Outcome {
    const OLDEST: &str = "oldest_unacked_commit_timestamp_seconds";
    const ACKNOWLEDGED: &str = "last_acked_commit_timestamp_seconds";
    const FAILURES: &str = "publish_failures_total{error_type=\"topic_missing\"}";
    const FAULT: &str = "fault{code=\"topic_missing\",part=\"line\"}";
    let mut scenario = Setup::new("since").without_topic().start()?;
    let mut relay = scenario.streaming_relay()?;
    let (mut writer, database) = (Writer::connect(scenario.writer()?)?, scenario.database()?);
    let first = write_between(&mut writer, &database, 3)?;
    relay.wait_for_fault("topic_missing")?;
    let second = write_between(&mut writer, &database, 3)?;
    relay.wait_for_figure(FAILURES, |failures| failures >= 2.0)?;
    let figures = relay.figures()?;
    is_between(OLDEST, figures.get(OLDEST), first)?;
    ensure(figures.get(ACKNOWLEDGED) == 0.0, || {
        "nothing can be acknowledged".to_owned()
    })?;
    ensure(figures.count(FAULT) == 1, || format!("{FAULT} is not shown"))?;

    scenario.create_topic(&scenario.topic(), 3, &[])?;
    relay.wait_for_phase("streaming")?;
    scenario.verify(&relay, &writer.into_history())?;
    relay.wait_for_figure(OLDEST, |oldest| oldest == 0.0)?;
    let figures = relay.figures()?;
    is_between(ACKNOWLEDGED, figures.get(ACKNOWLEDGED), second)?;
    ensure(figures.count(FAULT) == 0, || format!("{FAULT} is still shown"))
}

//! States that have a name of their own, so that somebody can be called for them (P7).

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::exit_code;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

const DEGRADED: &str = "up_phase{phase=\"degraded\"}";

#[test]
fn an_outage_that_lasts_is_called_degraded_once_and_is_over_when_the_broker_is_back() -> Outcome {
    let setup = Setup::new("degraded").private_kafka();
    let mut scenario = setup.set("admin.degraded_after_ms", 1_000).start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    scenario.servers.own_kafka()?.kill(0)?;
    writer.write(10)?;
    relay.wait_for_fault("kafka_unreachable")?;
    let readiness = relay.wait_for_phase("degraded")?;
    ensure(
        readiness.status == 503 && readiness.body.contains("tries again by itself"),
        || readiness.body.clone(),
    )?;
    relay.wait_for_figure(DEGRADED, |is_it| is_it > 0.0)?;
    ensure(relay.liveness()? == 200, || {
        "a relay that waits must stay live".to_owned()
    })?;
    scenario.servers.own_kafka()?.start_again(0)?;
    relay.wait_for_phase("streaming")?;
    let told = relay.log().matches("degraded: ").count();
    ensure(told == 1, || format!("told {told} times\n{}", relay.log_tail()))?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

/// Nobody writes into the pipe that stands where the password was: whoever reads it waits for ever, and with it the loop.
#[test]
fn a_loop_that_stands_still_ends_the_process_with_a_code_of_its_own() -> Outcome {
    let mut scenario = Setup::new("stuck").start()?;
    let password = scenario.file("slow-password");
    fs::copy(scenario.settings.text("postgres.password_file"), &password)?;
    let file = password.display().to_string();
    scenario.settings.set("postgres.password_file", file);
    scenario.settings.set("admin.stuck_after_ms", 2_000);
    let mut relay = scenario.streaming_relay()?;
    fs::remove_file(&password)?;
    mkfifo(&password, Mode::S_IRUSR | Mode::S_IWUSR)?;
    scenario.database()?.run(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
        scenario.name()
    ))?;
    let code = relay.wait_for_exit()?;
    ensure(code == Some(exit_code("loop_stuck")?), || {
        format!("exit code {code:?}\n{}", relay.log_tail())
    })?;
    ensure(relay.log().contains("the loop has not turned for 2 s"), || {
        relay.log_tail()
    })
}

#[test]
fn a_row_that_matches_no_route_and_one_that_does_not_fit_are_told_apart_and_counted() -> Outcome {
    let setup = Setup::new("row_faults").sql(
        "CREATE TABLE public.outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregate_type text,
         aggregate_id text, event_type text, payload text)",
    );
    let mut scenario = setup.start()?;
    for (aggregate_type, code) in [
        ("NULL", "row_does_not_fit_mapping"),
        ("'no topic!'", "row_matches_no_route"),
    ] {
        let mut relay = scenario.streaming_relay()?;
        scenario.database()?.run(&format!(
            "INSERT INTO public.outbox (aggregate_type, aggregate_id, payload) VALUES ({aggregate_type}, 'k', '{{}}')"
        ))?;
        let readiness = relay.wait_for_fault(code)?;
        ensure(readiness.phase() == "halted", || readiness.body.clone())?;
        relay.wait_for_figure(&format!("publish_failures_total{{error_type=\"{code}\"}}"), |count| {
            (count - 1.0).abs() < 0.5
        })?;
        relay.kill()?;
        // The operator passes it over, for the next case.
        scenario.database()?.run(&format!(
            "SELECT pg_replication_slot_advance('{}', pg_current_wal_lsn())",
            scenario.name()
        ))?;
    }
    Ok(())
}

/// The broker refuses one record of many; it is tried as often as its event type's rule says before anybody is called.
#[test]
fn a_record_that_is_refused_is_tried_as_often_as_its_rule_says_before_the_line_halts() -> Outcome {
    let setup = Setup::new("attempts").topic_config("max.message.bytes", "2000");
    let setup = setup.set("kafka.properties.\"batch.size\"", 2_000);
    let setup = setup.set("outbox.default.retry_rules.large.attempts", 5);
    let mut scenario = setup
        .set("outbox.default.retry_rules.large.event_types", "large,larger")
        .start()?;
    let mut relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.wait_until_confirmed()?;
    scenario.database()?.run(
        "INSERT INTO public.outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', 'k', 'large', (SELECT to_json(string_agg(md5(n::text), '')) FROM generate_series(1, 300) n))",
    )?;
    relay.wait_for_fault("record_too_large")?;
    // Once in its batch, to find out which, and five times alone.
    let refused = relay
        .figures()?
        .count("publish_failures_total{error_type=\"record_too_large\"}");
    ensure(refused >= 5, || {
        format!("refused {refused} times\n{}", relay.log_tail())
    })?;
    let told = relay.log().matches("record_too_large").count();
    ensure(told <= 2, || format!("{told} lines of the log\n{}", relay.log_tail()))
}

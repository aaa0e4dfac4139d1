//! The harness itself, end to end with tiny loads: whether it measures, keeps, draws and says what it should. Nothing here
//! depends on how fast it is.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::program;
use serde_json::Value;

const SMOKE: &str = "smoke --rows 300 --repetitions 2 --warm-ups 0 --single-rows 50 --large-rows 50 --starts 1 --tls";
const STEADY: &str =
    "steady --rate 50 --seconds 1 --warm-up-seconds 0 --broker-warm-up-records 100 --broker-warm-up-seconds 0";
const DRAIN: &str = "drain --rows 200 --row-bytes 600 --door unix --repetitions 1 --warm-ups 1";
const SET_ASIDE: &str = "set-aside --rows 2000 --broker-rows 1000 --letters 100 --repetitions 1 --warm-ups 0";
const COMPARE: &str = "compare --without-debezium --rows 200 --repetitions 1 --warm-ups 0 \
     --live-rate 50 --live-seconds 1 --live-warm-up-seconds 0";

/// The relay as if it were another one: everything that its configuration says comes from the placeholders.
const OTHER: &str = "run --set postgres.host={host} --set postgres.port={port} --set postgres.user={user} \
     --set postgres.database={database} --set postgres.slot={slot} --set postgres.publication={publication} \
     --set postgres.tls_mode=disable --set kafka.bootstrap_servers={bootstrap_servers} \
     --set kafka.properties.security.protocol=plaintext --set outbox.default.topic={topic} --set admin.listen=127.0.0.1:0";

/// A folder for results, and the relay that is built beside this test.
struct Bench {
    folder: tempfile::TempDir,
    relay: PathBuf,
}

/// What a sub-command has said, and the results that it has kept.
struct Done {
    said: String,
    kept: PathBuf,
}

impl Bench {
    fn new() -> Outcome<Bench> {
        Ok(Bench {
            folder: tempfile::tempdir()?,
            relay: program::program()?.get_program().into(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay-bench"));
        program::forget_configuration(&mut command);
        command.args(arguments).arg("--folder").arg(self.folder.path());
        command
    }

    /// Starts one that measures.
    fn start(&self, arguments: &str, more: &[&str]) -> Outcome<Child> {
        let arguments: Vec<&str> = arguments.split_whitespace().chain(more.iter().copied()).collect();
        let mut command = self.command(&arguments);
        command.arg("--quick-start").arg("--relay").arg(&self.relay);
        Ok(command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?)
    }

    /// What it has said and kept, if it has ended well.
    fn done(&self, output: &Output) -> Outcome<Done> {
        let said = said(output)?;
        let line = said.lines().find_map(|line| line.strip_prefix("kept in "));
        let kept = PathBuf::from(line.ok_or_else(|| Failure::new(format!("it keeps no results:\n{said}")))?);
        ensure(kept.parent() == Some(self.folder.path()), || kept.display().to_string())?;
        Ok(Done { said, kept })
    }

    /// Runs one that ends at once.
    fn run(&self, arguments: &[&str]) -> Outcome<String> {
        said(&self.command(arguments).output()?)
    }
}

fn said(output: &Output) -> Outcome<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure(output.status.success(), || {
        format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
    })?;
    Ok(text(&output.stdout))
}

impl Done {
    fn must_say(&self, names: &[&str]) -> Outcome {
        for name in names {
            let is_there = self.said.lines().any(|line| line.starts_with(name));
            ensure(is_there, || format!("{name} is not in\n{}", self.said))?;
        }
        Ok(())
    }

    fn result(&self, place: &str) -> Outcome<Value> {
        let results: Value = serde_json::from_str(&fs::read_to_string(&self.kept)?)?;
        let value = results.pointer(place).cloned();
        value.ok_or_else(|| Failure::new(format!("{place} is not in {}", self.kept.display())))
    }

    fn file(&self) -> &str {
        self.kept.to_str().unwrap_or_default()
    }
}

#[test]
fn everything_is_measured_kept_drawn_and_said() -> Outcome {
    let bench = Bench::new()?;
    let other = format!(
        "env OUTBOX_RELAY_POSTGRES__PASSWORD={{password}} {} {OTHER}",
        bench.relay.display()
    );
    // Each with servers of its own, side by side: most of the time they start.
    let running = [
        bench.start(SMOKE, &[])?,
        bench.start(DRAIN, &[])?,
        bench.start(STEADY, &[])?,
        bench.start(COMPARE, &["--other", &other])?,
        bench.start(SET_ASIDE, &[])?,
    ];
    // All of them, so that none is left running when one has failed.
    let [smoke, drain, steady, compare, set_aside] = running.map(Child::wait_with_output);
    let smoke = bench.done(&smoke?)?;
    let drain = bench.done(&drain?)?;
    let steady = bench.done(&steady?)?;
    let compare = bench.done(&compare?)?;
    let set_aside = bench.done(&set_aside?)?;
    drained(&smoke)?;
    limits_are_known(&drain)?;
    carried(&steady)?;
    compared(&compare)?;
    set_aside_and_redriven(&set_aside)?;
    goals_say_what_does_not_count(&bench, &steady)?;
    plots_are_drawn(&bench, &[&smoke, &drain, &steady, &compare])?;
    capacity_says_where_its_numbers_are_from(&bench, &smoke, &steady)
}

fn drained(smoke: &Done) -> Outcome {
    smoke.must_say(&[
        "drain_ratio=",
        "single_drain_ratio=",
        "tls_ratio=",
        "rss_mib=",
        "start_ms=",
    ])?;
    let rows = [
        "/backlog/1/relay/rows",
        "/backlog/1/relay_over_tls/rows",
        "/singles/0/relay/rows",
        "/large_transaction/rows",
    ];
    let rows: Vec<Value> = rows.iter().map(|place| smoke.result(place)).collect::<Outcome<_>>()?;
    ensure(rows == [300, 300, 50, 50], || format!("{rows:?}"))
}

/// Whoever stands for a limit has taken as many rows as the relay, and they are as large as was asked for.
fn limits_are_known(drain: &Done) -> Outcome {
    drain.must_say(&[
        "drain_ratio=",
        "drain_reader_ratio=",
        "drain_producer_ratio=",
        "drain_tcp_ratio=",
    ])?;
    let turn = drain.result("/cases/0/turns/0")?;
    for who in [
        "recvlogical",
        "lazy_reader",
        "producer_alone",
        "relay",
        "relay_over_tcp",
    ] {
        ensure(turn[who]["rows"] == 200, || format!("{who}: {turn}"))?;
    }
    let row_bytes = turn["row_bytes"].as_f64().unwrap_or_default();
    ensure((595.0..615.0).contains(&row_bytes), || turn.to_string())
}

fn carried(steady: &Done) -> Outcome {
    steady.must_say(&[
        "steady_insert_to_consumer_p99_ms=",
        "relay_cpu_percent=",
        "backends_cpu_percent=",
        "idle_percent=",
    ])?;
    let rate = steady.result("/runs/0/load/rate_events_per_s")?;
    ensure(rate == 50, || rate.to_string())?;
    let histogram = steady.result("/runs/0/histograms_us/insert_to_consumer")?;
    let counts = histogram
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| pair[1].as_u64());
    let events = steady.result("/runs/0/events")?;
    ensure(events == counts.sum::<u64>(), || {
        format!("{events} events in {histogram}")
    })
}

/// Two relays of one build publish the same.
fn compared(compare: &Done) -> Outcome {
    compare.must_say(&[
        "other_same_records=true",
        "other_drain_ratio=",
        "other_insert_to_consumer_p99_ratio=",
    ])
}

/// Two rows of two thousand are refused; everything else is published, and so are all letters of the other kind.
fn set_aside_and_redriven(done: &Done) -> Outcome {
    done.must_say(&[
        "set_aside_drain_ratio=",
        "delivery_state_drain_ratio=",
        "set_aside_by_broker_events_per_s=",
        "redriven_letters_per_s=",
    ])?;
    let rows = [
        "/relay_judged/0/plain/rows",
        "/relay_judged/0/set_aside/rows",
        "/relay_judged/0/with_states/rows",
        "/broker_judged/0/set_aside/rows",
        "/redriven/letters",
    ];
    let rows: Vec<Value> = rows.iter().map(|place| done.result(place)).collect::<Outcome<_>>()?;
    ensure(rows == [2_002, 2_000, 2_002, 1_000, 100], || format!("{rows:?}"))
}

fn goals_say_what_does_not_count(bench: &Bench, steady: &Done) -> Outcome {
    let goals = bench.run(&["goals"])?;
    let name = steady.kept.file_name().unwrap_or_default().to_string_lossy();
    for part in [
        &format!("{name} is left out: with --relay"),
        "--rate 50 instead of 2000",
        "not measured",
    ] {
        ensure(goals.contains(part), || format!("{part} is not in\n{goals}"))?;
    }
    Ok(())
}

fn plots_are_drawn(bench: &Bench, done: &[&Done]) -> Outcome {
    let named: Vec<&str> = done.iter().flat_map(|done| ["--results", done.file()]).collect();
    bench.run(&[&["plot"][..], &named].concat())?;
    for plot in ["drain.svg", "cpu.svg", "matrix.svg", "latency.svg", "overview.svg"] {
        let svg = fs::read_to_string(bench.folder.path().join(plot))?;
        ensure(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), || svg)?;
    }
    Ok(())
}

fn capacity_says_where_its_numbers_are_from(bench: &Bench, smoke: &Done, steady: &Done) -> Outcome {
    let measured = ["--measured", smoke.file(), "--measured", steady.file()];
    let load = ["capacity", "--json", "--events-per-day", "1e6"];
    let plan: Value = serde_json::from_str(&bench.run(&[&load[..], &measured].concat())?)?;
    let by = |input: &str| plan.pointer(&format!("/inputs/{input}/origin/measured/by")).cloned();
    let found = ["relay_cpu_us_per_event", "peak_tps"].map(by);
    ensure(found == [Some("steady".into()), Some("smoke".into())], || {
        plan.to_string()
    })
}

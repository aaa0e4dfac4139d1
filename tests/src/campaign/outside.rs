//! Parts that are programs of their own: the simulation and the fuzzer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::results::Entry;
use crate::failure::{Failure, Outcome};

/// Runs the simulation with so many seeds.
///
/// # Errors
/// It cannot be run. That a seed fails is in the entry.
pub fn simulate(first_seed: u64, seeds: u64) -> Outcome<Entry> {
    let mut entry = Entry::begin("simulation", first_seed)?;
    let output = Command::new("cargo")
        .args([
            "test",
            "-q",
            "-p",
            "outbox-relay",
            "--lib",
            "simulation::whatever",
            "--",
            "--nocapture",
        ])
        .env("SEEDS", seeds.to_string())
        .env("FIRST_SEED", first_seed.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("{said}");
        let why = said.lines().find(|line| line.contains("seed ")).unwrap_or("it failed");
        return Ok(entry.of_failure(&Failure::new(why)));
    }
    let line = said.lines().find(|line| line.starts_with("seeds="));
    line.ok_or_else(|| Failure::new("the simulation said nothing"))?
        .clone_into(&mut entry.note);
    entry.count = seeds;
    Ok(entry)
}

/// Runs one target of the fuzzer for so many seconds. New inputs stay in `corpus`, and what breaks the target in
/// `artifacts`.
///
/// # Errors
/// It cannot be run. That the target broke is in the entry.
pub fn fuzz(program: &Path, target: &str, corpora: &[&Path], artifacts: &Path, seconds: u64) -> Outcome<Entry> {
    let mut entry = Entry::begin(&format!("fuzz-{target}"), 0)?;
    fs::create_dir_all(artifacts)?;
    // Several may run at once.
    let log = artifacts.join(format!("{target}-{}.log", std::process::id()));
    let before = children_cpu_seconds()?;
    let status = Command::new(program)
        .args(corpora)
        .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .args([
            "-rss_limit_mb=1024",
            "-max_len=65536",
            "-timeout=25",
            "-print_final_stats=1",
        ])
        .env("FUZZ_TARGET", target)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .status()?;
    entry.count = children_cpu_seconds()?.saturating_sub(before);
    let said = fs::read_to_string(&log)?;
    let number = |name: &str| {
        said.lines()
            .rev()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or("?")
            .trim()
    };
    entry.note = format!("{} executions", number("stat::number_of_executed_units:"));
    if !status.success() {
        eprintln!(
            "{target} broke; its input is in {}, the log is {}",
            artifacts.display(),
            log.display()
        );
        let why = format!("it broke after {} CPU s", entry.count);
        return Ok(entry.of_failure(&Failure::new(why)));
    }
    Ok(entry)
}

/// CPU time of all children that have ended, in whole seconds.
fn children_cpu_seconds() -> Outcome<u64> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
    let seconds = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    Ok(u64::try_from(seconds)?)
}

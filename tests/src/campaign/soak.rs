//! A steady load for a long time: whether memory, descriptors or threads grow.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::results::Entry;
use crate::failure::{Failure, Outcome, ensure};
use crate::load::{Load, Rate};
use crate::relay::Relay;
use crate::setup::Setup;

const SAMPLE_EVERY: Duration = Duration::from_secs(15);
/// Caches fill at first; that is no growth.
const WARM_UP: f64 = 0.1;
/// Over less, noise is steeper than any leak that matters.
const HOURS_TO_JUDGE: f64 = 0.5;
/// Each hour.
const RSS_GROWTH_MAX_MIB: f64 = 1.0;
const GROWTH_MAX: f64 = 0.5;
const RATE: Rate = Rate {
    rows: 5,
    transactions: 40,
};

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    at_hours: f64,
    rss_mib: f64,
    descriptors: f64,
    threads: f64,
}

/// Runs for so many minutes, and judges what arrived.
///
/// # Errors
/// A server or the relay fails, or a violation.
pub fn soak(minutes: u64) -> Outcome<Entry> {
    let entry = Entry::begin("soak", 0)?;
    let mut scenario = Setup::new("soak").start()?;
    let relay = scenario.streaming_relay()?;
    let load = Load::start(vec![scenario.writer()?], RATE)?;
    let (began, mut held) = (Instant::now(), Vec::new());
    let length = Duration::from_secs(60 * minutes);
    while began.elapsed() < length {
        thread::sleep(SAMPLE_EVERY.min(length.saturating_sub(began.elapsed())));
        held.push(hold(&relay, began)?);
        let alive = relay.liveness()?;
        ensure(alive == 200, || format!("not live after {:?}", began.elapsed()))?;
    }
    let history = load.stop()?;
    let report = scenario.report(&relay, &history)?;
    let cpu = cpu_seconds(&relay)?;
    let note = format!(
        "{:.0} rows/s; {}; CPU {:.1} % of a core",
        count_of(report.rows) / began.elapsed().as_secs_f64(),
        slopes(&held)?,
        100.0 * cpu / began.elapsed().as_secs_f64()
    );
    println!("{note}");
    let round = super::Round {
        faults: 0,
        report,
        recovery_ms: Vec::new(),
        brokers: 1,
    };
    Ok(Entry {
        count: minutes,
        duplicates: Vec::new(),
        note,
        ..entry.of_round(round)
    })
}

fn hold(relay: &Relay, began: Instant) -> Outcome<Held> {
    let status = fs::read_to_string(relay.proc_file("status"))?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let missing = || Failure::new("the system does not say what the relay holds");
    let descriptors = fs::read_dir(relay.proc_file("fd"))?.count();
    Ok(Held {
        at_hours: began.elapsed().as_secs_f64() / 3_600.0,
        rss_mib: number("VmRSS:").ok_or_else(missing)? / 1024.0,
        descriptors: f64::from(u32::try_from(descriptors)?),
        threads: number("Threads:").ok_or_else(missing)?,
    })
}

/// User and system time, of `/proc/PID/stat` (proc(5), fields 14 and 15, in hundredths of a second).
fn cpu_seconds(relay: &Relay) -> Outcome<f64> {
    let stat = fs::read_to_string(relay.proc_file("stat"))?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// # Errors
/// Something grows.
fn slopes(held: &[Held]) -> Outcome<String> {
    let from = held.last().map_or(0.0, |last| last.at_hours * WARM_UP);
    let warm: Vec<Held> = held.iter().copied().filter(|held| held.at_hours >= from).collect();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
        return Err(Failure::new("nothing was sampled"));
    };
    let of = |what: fn(&Held) -> f64| slope(&warm, what);
    let (rss, descriptors, threads) = (
        of(|held| held.rss_mib),
        of(|held| held.descriptors),
        of(|held| held.threads),
    );
    let grows = rss > RSS_GROWTH_MAX_MIB || descriptors > GROWTH_MAX || threads > GROWTH_MAX;
    let said = format!(
        "RSS {:.1} to {:.1} MiB, {:+.2} MiB/h; descriptors {} to {}, {:+.2}/h; threads {} to {}, {:+.2}/h",
        first.rss_mib,
        last.rss_mib,
        rss,
        first.descriptors,
        last.descriptors,
        descriptors,
        first.threads,
        last.threads,
        threads,
    );
    ensure(!grows || hours_of(&warm) < HOURS_TO_JUDGE, || {
        format!("it grows: {said}")
    })?;
    Ok(said)
}

fn hours_of(held: &[Held]) -> f64 {
    let (first, last) = (held.first(), held.last());
    first
        .zip(last)
        .map_or(0.0, |(first, last)| last.at_hours - first.at_hours)
}

/// Least squares, per hour.
fn slope(held: &[Held], what: fn(&Held) -> f64) -> f64 {
    let mean = |number: &dyn Fn(&Held) -> f64| held.iter().map(number).sum::<f64>() / count(held);
    let (mean_at, mean_of) = (mean(&|held| held.at_hours), mean(&|held| what(held)));
    let covariance: f64 = held
        .iter()
        .map(|held| (held.at_hours - mean_at) * (what(held) - mean_of))
        .sum();
    let variance: f64 = held.iter().map(|held| (held.at_hours - mean_at).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

fn count(held: &[Held]) -> f64 {
    count_of(held.len())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count_of(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_found_and_noise_is_not_growth() {
        let at = |hour: f64, rss_mib: f64| Held {
            at_hours: hour,
            rss_mib,
            descriptors: 20.0,
            threads: 9.0,
        };
        let growing: Vec<Held> = (0_u8..100)
            .map(|nth| at(f64::from(nth), 30.0 + 2.0 * f64::from(nth)))
            .collect();
        assert!((slope(&growing, |held| held.rss_mib) - 2.0).abs() < 1e-9);
        assert!(slope(&growing, |held| held.threads).abs() < 1e-9);
        let noisy: Vec<Held> = (0_u8..100)
            .map(|nth| at(f64::from(nth), 30.0 + f64::from(nth % 2)))
            .collect();
        assert!(slope(&noisy, |held| held.rss_mib).abs() < 0.01);
        assert!(slopes(&growing).is_err() && slopes(&noisy).is_ok());
    }
}

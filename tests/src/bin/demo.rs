//! `make demo`.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use outbox_relay_tests::demo::{DemoError, become_tethered, run};

/// The variable that sets `--seconds`.
const SECONDS: &str = "DEMO_SECONDS";
/// 128 + SIGINT, as shells say it.
const STOPPED: u8 = 130;

/// Shows the relay at work: rows go into PostgreSQL, records come out of Kafka. Ctrl-C stops everything.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// End after this many seconds; the variable `DEMO_SECONDS` sets it, too
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    if let Some(error) = become_tethered(env::args_os().skip(1)) {
        eprintln!("demo: cannot start the relay: {error}");
        return ExitCode::FAILURE;
    }
    let seconds = match Arguments::parse()
        .seconds
        .map_or_else(seconds_of_environment, |seconds| Ok(Some(seconds)))
    {
        Ok(seconds) => seconds,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(seconds.map(Duration::from_secs)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(DemoError::Stopped) => ExitCode::from(STOPPED),
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Unset and empty mean: until Ctrl-C.
fn seconds_of_environment() -> Result<Option<u64>, String> {
    let value = env::var(SECONDS).unwrap_or_default();
    if value.is_empty() {
        return Ok(None);
    }
    let seconds = value
        .parse()
        .map_err(|_| format!("{SECONDS}={value} is not a number of seconds"));
    seconds.map(Some)
}

//! The daemon's entry: read the command line, do what it says, say how it ended.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use outbox_relay::commands::{CommandLine, Refusal, execute};

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Nothing better can be done when even the terminal is gone.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Refusal::CommandLineWrong.entry().exit)
            };
        }
    };
    match execute(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

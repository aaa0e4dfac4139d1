//! The daemon's entry: read the command line, do what it says, say how it ended.

use clap::Parser;
use clap::error::ErrorKind;
use outbox_relay::commands::{CommandLine, Refusal, execute, leave};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// All threads share one arena, and what they do not need any more goes back to the system within a second: that is faster
/// here than an arena for each, and takes less (BENCHMARKS.md).
#[allow(
    unsafe_code,
    reason = "jemalloc looks for a symbol of this name, and nothing else has it"
)]
#[unsafe(export_name = "malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 30] = b"narenas:1,dirty_decay_ms:1000\0";

fn main() {
    let code = match CommandLine::try_parse() {
        Ok(command_line) => execute(command_line).map_or_else(|failure| failure.report(), |()| 0),
        Err(error) => refuse(&error),
    };
    leave(code)
}

/// Help and version are errors to the parser, and none to whoever asked.
fn refuse(error: &clap::Error) -> u8 {
    // Nothing better can be done when even the terminal is gone.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return 0;
    }
    let refusal = Refusal::CommandLineWrong.entry();
    eprintln!("  code: {}", refusal.name);
    refusal.exit
}

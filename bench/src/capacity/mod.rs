//! `capacity`: what a stated load needs, from what was measured.

mod inputs;
mod live;
mod measured;
mod options;
mod report;
mod sizing;
mod storage;
mod task;
mod told;
mod warnings;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::results::Folder;
use inputs::Inputs;
use measured::Measured;
use options::{CostOptions, LoadOptions};
use sizing::Sizing;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    costs: CostOptions,
    /// Results of smoke, steady or steady --search to take costs and the peak from, instead of the newest of each with the
    /// goals' parameters; repeatable
    #[arg(long, value_name = "FILE")]
    measured: Vec<PathBuf>,
    /// Prints JSON instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folder: Folder,
}

/// Everything, as JSON.
#[derive(Debug, Serialize)]
struct Plan<'a> {
    inputs: &'a Inputs,
    sizing: &'a Sizing,
    warnings: &'a [String],
}

/// Sizes, and prints.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let measured = Measured::read(&options.measured, options.folder.path())?;
    let inputs = Inputs::gather(&options.load, &options.costs, &measured);
    let inputs = inputs.ok_or_else(|| Failure::NothingMeasured(options.folder.path().to_owned()))?;
    let sizing = sizing::size(&inputs.load(), &inputs.costs());
    let warnings = warnings::warnings(&inputs, &sizing);
    if options.json {
        let plan = Plan {
            inputs: &inputs,
            sizing: &sizing,
            warnings: &warnings,
        };
        let text = serde_json::to_string_pretty(&plan);
        let text = text.map_err(|error| Failure::file("write", "the standard output".as_ref())(error.into()))?;
        println!("{text}");
    } else {
        print!("{}", report::markdown(&inputs, &sizing, &warnings));
    }
    Ok(())
}

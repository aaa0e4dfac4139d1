//! `capacity`: what a stated load needs, from what was measured.

mod inputs;
mod options;
mod report;
mod sizing;
mod storage;
mod task;
mod warnings;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::results::Folder;
use inputs::Inputs;
use options::{CostOptions, LoadOptions};
use sizing::Sizing;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    costs: CostOptions,
    /// Results of smoke to take costs from, instead of the newest with the goals' parameters
    #[arg(long, value_name = "FILE")]
    measured: Option<PathBuf>,
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
    let kept = inputs::kept(options.measured.as_deref(), options.folder.path())?;
    let inputs = Inputs::gather(&options.load, &options.costs, kept.as_ref());
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

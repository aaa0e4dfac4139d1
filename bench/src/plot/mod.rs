//! `plot`: kept results as SVG.
//!
//! Each plot is of one run and says which: runs are never put beside each other as if they were one.

mod bars;
mod canvas;
mod chart;
mod circumstances;
mod cpu;
mod drain;
mod frame;
mod kept;
mod latency;
mod matrix;
mod number;
mod overview;
mod palette;
mod peak;
mod scale;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::progress;
use crate::results::{self, Choice, Folder};
use kept::Kept;

/// Sub-commands with results that can be plotted.
const PLOTTED: [&str; 5] = ["smoke", "drain", "compare", "steady", "steady-search"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Results of smoke, drain, compare or steady, instead of the newest of each that have the goals' parameters; repeatable, but of one kind the last one counts
    #[arg(long, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Where the plots go [default: where the results are]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
}

/// A plot that is drawn, but in no file yet.
#[derive(Debug)]
struct Plot {
    name: &'static str,
    svg: String,
}

/// Plots, and prints the names of the files.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.folder.path();
    let files = match options.results.as_slice() {
        [] => newest_of_each(folder),
        named => named.to_vec(),
    };
    if files.is_empty() {
        return Err(Failure::NothingToPlot(folder.to_owned()));
    }
    let into = options.into.as_deref().unwrap_or(folder);
    for file in files {
        for made in plot(&file, into)? {
            println!("{}", made.display());
        }
    }
    Ok(())
}

/// Plots the newest results in a folder into that folder. Numbers do not depend on plots: one that fails is told, and
/// that is all.
pub(crate) fn from_results(folder: &Path) {
    for file in newest_of_each(folder) {
        match plot(&file, folder) {
            Ok(made) => made.iter().for_each(|made| println!("plotted in {}", made.display())),
            Err(failure) => progress::step(&format!("no plot of {}: {failure}", file.display())),
        }
    }
}

/// Those that count; what does not is said.
fn newest_of_each(folder: &Path) -> Vec<PathBuf> {
    let newest = PLOTTED.iter().filter_map(|command| {
        let Choice { suitable, left_out } = results::choose(command, folder);
        for left_out in left_out {
            progress::step(&format!("{left_out}; `plot --results` draws it all the same"));
        }
        suitable.into_iter().next()
    });
    newest.collect()
}

/// All plots of one file.
fn plot(file: &Path, into: &Path) -> Result<Vec<PathBuf>, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let plots = match Kept::read(file)? {
        Kept::Smoke(smoke) => vec![drain::plot(&smoke, &name)?, cpu::plot(&smoke, &name)?],
        Kept::Matrix(matrix) => vec![matrix::plot(&matrix, &name)?],
        Kept::Compare(compare) => vec![overview::plot(&compare, &name)?],
        Kept::Steady(steady) => vec![latency::plot(&steady, &name)?],
        Kept::Search(search) => vec![peak::plot(&search, &name)?],
    };
    fs::create_dir_all(into).map_err(Failure::file("make", into))?;
    let written = plots.iter().map(|plot| {
        let file = into.join(plot.name);
        fs::write(&file, &plot.svg).map_err(Failure::file("write", &file))?;
        Ok(file)
    });
    written.collect()
}

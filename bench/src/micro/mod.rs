//! `micro`: the pure middle of the relay, on one core and without servers.
//!
//! Each part is repeated on rows of 600 bytes, 100 a transaction: as long as a few seconds for its time, and under
//! valgrind for its instructions and allocations.

mod cases;
mod flow;
mod report;
mod rows;
mod timing;
mod valgrind;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::results::{Circumstances, Folder, Told};
use crate::subject::Subject;
use crate::{machine, progress};
use cases::Case;
use report::{Measured, Report};

#[derive(Debug, Args, Serialize)]
pub(crate) struct Options {
    /// Seconds that each part is measured for
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Counts no instructions and no allocations, even where valgrind is
    #[arg(long)]
    no_valgrind: bool,
    /// Repeats one part and says nothing: what runs under valgrind
    #[arg(long, hide = true, value_name = "PART")]
    #[serde(skip)]
    once: Option<Case>,
    #[arg(long, hide = true, default_value_t = 1)]
    #[serde(skip)]
    iterations: u32,
    #[command(flatten)]
    #[serde(skip)]
    folder: Folder,
}

/// Measures, prints a table, keeps the results, and prints the numbers last.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    if let Some(case) = options.once {
        case.with_pass(|pass| (0..options.iterations).for_each(|_| pass()));
        return Ok(());
    }
    let load_before = machine::load();
    let is_counted = !options.no_valgrind && valgrind::is_there();
    let mut measured = Vec::new();
    for case in Case::ALL {
        interrupt.check()?;
        progress::step(&format!("{}: {}", case.name(), case.what()));
        let timing = timing::measure(case, options.seconds, &options.folder.path().join("criterion"))?;
        let counts = is_counted.then(|| valgrind::count(case, interrupt)).transpose()?;
        measured.push(Measured::new(case, timing, counts));
    }
    let report = Report::new(Circumstances::now(&Subject::default(), options, load_before), measured);
    println!("\n{}", report.table());
    let told = Told {
        tables: &report.table(),
        numbers: &report.numbers(),
    };
    let file = report
        .circumstances
        .keep("micro", options.folder.path(), &report, told)?;
    println!("kept in {}\n", file.display());
    print!("{}", report.numbers());
    Ok(())
}

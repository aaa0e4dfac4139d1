//! `goals`: what was asked for, beside what the newest results with the goals' own parameters say.

mod goal;
mod table;

use std::fs;
use std::path::Path;

use clap::Args;

use crate::failure::Failure;
use crate::results::{self, Choice, Folder, Values};
use goal::GOALS;
use table::Found;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    folder: Folder,
}

/// Prints the table, which results are left out and why, and then every number that the table was made of, and the peak.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.folder.path();
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for command in goal::commands() {
        let Choice {
            suitable,
            left_out: of_command,
        } = results::choose(command, folder);
        left_out.extend(of_command.iter().map(ToString::to_string));
        for file in suitable {
            found.push(read(command, &file)?);
        }
    }
    left_out.extend(table::keep_one_state(&mut found));
    if found.is_empty() && left_out.is_empty() {
        return Err(Failure::NoResults(folder.to_owned()));
    }
    println!("{}", table::table(&GOALS, &found));
    for left_out in &left_out {
        println!("{left_out}");
    }
    print!("\n{}", table::values(&GOALS, &found));
    Ok(())
}

fn read(command: &'static str, file: &Path) -> Result<Found, Failure> {
    let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
    let bad = |error: serde_json::Error| Failure::content(file, &error);
    Ok(Found {
        command,
        file: results::name(file),
        measured: serde_json::from_str(&text).map_err(bad)?,
        values: Values::of_results(&text).map_err(bad)?,
    })
}

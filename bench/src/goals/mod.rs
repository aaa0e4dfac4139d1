//! `goals`: what was asked for, beside what the newest results of each sub-command say.

mod table;

use std::fs;
use std::path::Path;

use clap::Args;

use crate::failure::Failure;
use crate::results::{self, Folder, Values};
use table::{Found, GOALS};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    folder: Folder,
}

/// Prints the table, and then every number that it was made of.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = options.folder.path();
    let mut found = Vec::new();
    for command in table::commands() {
        if let Some(file) = results::newest(command, folder) {
            found.push(read(command, &file)?);
        }
    }
    if found.is_empty() {
        return Err(Failure::NothingMeasured(folder.to_owned()));
    }
    println!("{}", table::table(&GOALS, &found));
    for values in &found {
        print!("{}", values.values);
    }
    Ok(())
}

fn read(command: &'static str, file: &Path) -> Result<Found, Failure> {
    let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
    let values = Values::of_results(&text).map_err(|error| Failure::content(file, &error))?;
    let name = file.file_name().unwrap_or(file.as_os_str());
    Ok(Found {
        command,
        file: name.to_string_lossy().into_owned(),
        values,
    })
}

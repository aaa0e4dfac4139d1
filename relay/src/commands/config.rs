//! `outbox-relay config`: what is in force and who said so, whether it is right, and what there is.

use std::fmt::Write;

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::{Effective, Loaded, Settings, Sources, load, load_without_files, reference};
use crate::kafka;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, Args)]
struct Show {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is in force and where each value came from (the default)
    Show(Show),
    /// Say whether the configuration is right, or all that is wrong with it
    ///
    /// Connects to nothing. Exit code 0, or 78 as for every other command.
    Check {
        /// Leave files alone that keys name: secrets and certificates
        #[arg(long)]
        without_files: bool,
    },
    /// Print the reference of all keys, as Markdown
    Reference,
    /// Print the JSON schema of the file, for editors
    Schema,
    /// Print an annotated file with every key and its default
    Example,
}

pub(super) fn config(sources: &Sources, arguments: Arguments) -> Result<(), Failure> {
    let text = match arguments.command.unwrap_or(Command::Show(arguments.show)) {
        Command::Show(Show { json }) => {
            let loaded = load(sources).map_err(|errors| Failure::configuration(&errors))?;
            shown(&loaded, json)
        }
        Command::Check { without_files } => check(sources, without_files)?,
        Command::Reference => reference::reference(),
        Command::Schema => reference::schema(),
        Command::Example => reference::example(),
    };
    print!("{text}");
    Ok(())
}

fn check(sources: &Sources, without_files: bool) -> Result<String, Failure> {
    let refused = |errors| Failure::configuration(&errors);
    if without_files {
        load_without_files(sources).map_err(refused)?;
        return Ok("ok, except for the files that it names, which were not looked at\n".to_owned());
    }
    let Settings { kafka, pipeline, .. } = load(sources).map_err(refused)?.settings;
    let accepted = kafka::accept(&kafka, &pipeline);
    accepted.map_err(|error| Failure::not_accepted_by_kafka(&error))?;
    Ok("ok\n".to_owned())
}

/// What is shown for a key without a value.
const UNSET: &str = "(not set)";

/// The effective configuration, secrets hidden: a table for people, or a JSON array in the order of the table.
fn shown(loaded: &Loaded, json: bool) -> String {
    if json {
        as_json(&loaded.effective)
    } else {
        as_table(&loaded.effective)
    }
}

fn as_json(effective: &[Effective]) -> String {
    let mut text = serde_json::to_string_pretty(effective).expect("texts always become JSON");
    text.push('\n');
    text
}

fn as_table(effective: &[Effective]) -> String {
    let rows: Vec<[String; 3]> = effective.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (path_width, value_width) = (width(0), width(1));
    let mut table = String::new();
    let mut section = "";
    for ([path, value, source], effective) in rows.iter().zip(effective) {
        let first = effective.path.split('.').next().unwrap_or_default();
        if first != section && !section.is_empty() {
            table.push('\n');
        }
        section = first;
        writeln!(table, "{path:path_width$}  {value:value_width$}  {source}").expect("a string takes everything");
    }
    table
}

fn row(shown: &Effective) -> [String; 3] {
    let value = match &shown.value {
        None => UNSET.to_owned(),
        Some(value) if value.is_empty() => "\"\"".to_owned(),
        Some(value) if shown.unit.is_empty() => on_one_line(value),
        Some(value) => format!("{} {}", on_one_line(value), shown.unit),
    };
    [on_one_line(&shown.path), value, on_one_line(&shown.source)]
}

/// Line breaks would break the table, other control characters the terminal.
fn on_one_line(text: &str) -> String {
    let escaped = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trial::Trial;

    fn loaded() -> Loaded {
        let trial = Trial::minimal()
            .and("postgres.password = 'hunter2'\nkafka.properties.\"ssl.ca.pem\" = \"line\\nline\"")
            .flag("postgres.port=5433");
        trial.load().expect("no error")
    }

    #[test]
    fn the_table_shows_each_value_with_its_unit_and_source() {
        let table = shown(&loaded(), false);
        let line = |path: &str| {
            let line = table.lines().find(|line| line.starts_with(path)).unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("postgres.port "), "postgres.port 5433 --set postgres.port");
        assert_eq!(
            line("postgres.connect_timeout_ms"),
            "postgres.connect_timeout_ms 10000 ms default"
        );
        assert_eq!(
            line("postgres.password_file"),
            "postgres.password_file (not set) default"
        );
        assert!(line("kafka.properties.ssl.ca.pem").contains("line\\nline"), "{table}");
    }

    #[test]
    fn no_output_holds_a_secret() {
        for json in [false, true] {
            let text = shown(&loaded(), json);
            assert!(text.contains("***") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_json_is_an_array_of_all_values() {
        let parsed: Vec<serde_json::Value> = serde_json::from_str(&shown(&loaded(), true)).expect("JSON");
        let port = parsed
            .iter()
            .find(|value| value["path"] == "postgres.port")
            .expect("the port");
        assert_eq!(port["value"], "5433");
        assert_eq!(port["source"], "--set postgres.port");
        let file = parsed
            .iter()
            .find(|value| value["path"] == "postgres.password_file")
            .expect("the file");
        assert!(file["value"].is_null());
    }
}

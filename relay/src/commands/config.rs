//! `outbox-relay config`: what is in force, and who said so.

use std::fmt::Write;

use crate::config::{Effective, Loaded};

/// What is shown for a key without a value.
const UNSET: &str = "(not set)";

/// The effective configuration, secrets hidden: a table for people, or a JSON array in the order of the table.
pub fn run(loaded: &Loaded, json: bool) -> String {
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
    for ([path, value, source], shown) in rows.iter().zip(effective) {
        let first = shown.path.split('.').next().unwrap_or_default();
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
        let table = run(&loaded(), false);
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
            let shown = run(&loaded(), json);
            assert!(shown.contains("***") && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn the_json_is_an_array_of_all_values() {
        let parsed: Vec<serde_json::Value> = serde_json::from_str(&run(&loaded(), true)).expect("JSON");
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

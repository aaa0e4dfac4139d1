//! The annotated configuration file.

use std::fmt::Write;

use super::{Key, Kind, Section, default, sections, split, written};
use crate::config::key::Fallback;

const WIDTH: usize = 120;

const INTRO: &str = "\
# Configuration of outbox-relay: every key, with its default. Only two are required.
# Made by `outbox-relay config example`; docs/CONFIGURATION.md says more. For an editor that knows TOML:
# `outbox-relay config schema > config.schema.json`, and `#:schema ./config.schema.json` as the first line.
#
# A key is switched off by a \"#\" without a space; take it away to set the key.
#
# Four layers, the later wins:
#   1. libpq's variables     PGHOST=db1, PGPASSWORD=...
#   2. this file             outbox-relay --config outbox-relay.toml (or OUTBOX_RELAY_CONFIG)
#   3. the environment       OUTBOX_RELAY_POSTGRES__HOST=db1 (double underscore for a dot)
#   4. flags                 --set postgres.host=db1 (no secrets: every process can read the command line)
#
# `outbox-relay config` prints what is in force and where each value came from; `config check` looks for mistakes.
";

/// Every key with its default, switched off; those that are required are set.
pub fn example() -> String {
    let mut text = INTRO.to_owned();
    for section in sections() {
        text.push('\n');
        table(&mut text, &section);
    }
    text
}

fn table(text: &mut String, section: &Section) {
    comment(text, section.intro);
    line(text, &format!("[{}]", section.path.replace('*', "default")));
    for key in &section.keys {
        if !matches!(key.kind, Kind::Property) && split(key).1 != "*" {
            comment(text, &explanation(key));
        }
        for set in settings(key) {
            let off = if key.default == Fallback::Required { "" } else { "#" };
            line(text, &format!("{off}{set}"));
        }
    }
}

fn explanation(key: &Key) -> String {
    let required = if key.default == Fallback::Required {
        "Required. "
    } else {
        ""
    };
    let words = match key.kind {
        Kind::Choice(words) if words.iter().all(|word| key.note.contains(word)) => String::new(),
        Kind::Choice(words) => format!(" One of \"{}\".", words.join("\", \"")),
        _ => String::new(),
    };
    let note = if key.note.is_empty() {
        String::new()
    } else {
        format!(" {}", key.note)
    };
    format!("{required}{}{words}{note}", key.meaning)
}

/// The key with its default, or with each of its examples.
fn settings(key: &Key) -> Vec<String> {
    let name = split(key).1;
    if let Some(value) = default(key) {
        return vec![format!("{name} = {}", written(key.kind, &value))];
    }
    let example = |example: &&str| match example.split_once('=') {
        Some((property, value)) if name == "*" => format!("\"{property}\" = {}", written(key.kind, value)),
        _ => format!("{name} = {}", written(key.kind, example)),
    };
    key.examples.iter().map(example).collect()
}

fn comment(text: &mut String, words: &str) {
    let mut row = String::from("#");
    for word in words.split_whitespace() {
        if row.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &row);
            "#".clone_into(&mut row);
        }
        row.push(' ');
        row.push_str(word);
    }
    line(text, &row);
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}

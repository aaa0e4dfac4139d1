//! The reference of every key.

use std::fmt::Write;

use super::{Key, Kind, default, libpq, sections, split, written};
use crate::config::environment;
use crate::config::key::Fallback;
use crate::config::refused::{Accepted, REFUSED};

const INTRO: &str = "\
# Configuration

<!-- Made by `outbox-relay config reference`; change relay/src/config/keys.rs instead. -->

Every key of the relay. The same table makes the annotated file [deploy/outbox-relay.toml](../deploy/outbox-relay.toml)
(`outbox-relay config example`), the [JSON schema](config.schema.json) for editors (`config schema`) and the checks.

- `outbox-relay config` prints what is in force, each value with its source, without secrets.
- `outbox-relay config check` says whether the configuration is right, or everything that is wrong with it; it connects to
  nothing. In CI, where mounted files are not there: `config check --without-files`.

## Where values come from

Four layers; of each key the highest value counts.

| layer | written | of this form |
| --- | --- | --- |
| 4. flags | `--set postgres.host=db1`, repeatable | no secrets: every process can read the command line |
| 3. environment | `OUTBOX_RELAY_POSTGRES__HOST=db1` | two underscores for a dot; lists with commas |
| 2. file | `--config FILE` or `OUTBOX_RELAY_CONFIG` | TOML |
| 1. libpq's variables | `PGHOST=db1` | [below](#libpq) |

A connection string (`postgres.url`, `postgres.url_file`) is spread over the keys that it names, in its own layer: keys of
higher layers win over it, it wins over those of lower ones, and a key of the same layer that says the same thing is an
error. Of several strings only the one in the highest layer counts, and nothing of the others.

A key or variable that does not exist is an error with the nearest name. All errors are told at once, each with its key
and its source: file and line, variable, or flag.

## Secrets

A secret is never printed or logged, and never taken from a flag. The best place is a file of its own: `password_file`,
`url_file`, `passfile`, TLS keys and certificates are read anew on every connect to PostgreSQL, `kafka.property_files`
whenever a producer is made. Everything else counts from the start on.
";

/// The reference, in Markdown.
pub fn reference() -> String {
    let mut text = INTRO.to_owned();
    for section in sections() {
        let name = section.path.replace('*', "<name>");
        put(
            &mut text,
            &format!("\n## `[{name}]`\n\n{}\n", section.intro.replace("<name>", "`<name>`")),
        );
        for key in section.keys {
            put(&mut text, &entry(key));
        }
        if section.path == "kafka.properties" {
            refused(&mut text);
        }
    }
    libpq::chapter(&mut text);
    text
}

pub(super) fn put(text: &mut String, more: &str) {
    text.push_str(more);
}

fn entry(key: &Key) -> String {
    let path = key.path.replace('*', "<name>");
    let variable = environment::variable(&path).replace(
        "<NAME>",
        match split(key).1 {
            "*" => "<PROPERTY>",
            _ => "<NAME>",
        },
    );
    let path = if split(key).1 == "*" {
        path.replace("<name>", "<property>")
    } else {
        path
    };
    let note = if key.note.is_empty() {
        String::new()
    } else {
        format!(" {}", key.note)
    };
    let mut text = format!("\n### `{path}`\n\n{}{note}\n\n", key.meaning);
    let mut fact = |name: &str, value: &str| {
        writeln!(text, "- {name}: {value}").expect("a string takes everything");
    };
    fact("type", &kind(key.kind));
    match (key.default, default(key)) {
        (Fallback::Required, _) => fact("default", "none; it is required"),
        (_, None) => fact("default", "not set"),
        (Fallback::Preset, Some(value)) => fact(
            "default",
            &format!("`{}`, or what the preset says", written(key.kind, &value)),
        ),
        (_, Some(value)) => fact("default", &format!("`{}`", written(key.kind, &value))),
    }
    fact("variable", &format!("`{variable}`"));
    text
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Choice(words) => format!("one of `{}`", words.join("`, `")),
        Kind::Secret => "a secret text".to_owned(),
        kind => kind.to_string(),
    }
}

fn refused(text: &mut String) {
    put(
        text,
        "\nProperties that librdkafka does not know, and values that it does not take, are errors too. These would break a\n\
         promise of the relay, and are refused under every name that librdkafka has for them:\n\n\
         | property | why | instead |\n| --- | --- | --- |\n",
    );
    for row in REFUSED {
        let accepted = match row.accepted {
            Accepted::Nothing => String::new(),
            Accepted::OneOf(words) => format!(", other than `{}`", words.join("`, `")),
        };
        let names = row.names.join("`, `");
        put(
            text,
            &format!("| `{names}`{accepted} | {} | {} |\n", row.reason, row.instead),
        );
    }
}

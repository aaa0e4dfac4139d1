//! The JSON schema of the file, for editors. Draft 7, because that is what they know.
//!
//! Nothing is required in it: what the file leaves out may come from elsewhere.

use serde_json::{Map, Value, json};

use super::{Key, Kind, default, literal, sections, split};
use crate::config::key::Fallback;
use crate::config::refused::{Accepted, REFUSED};

/// Names that the environment can spell too.
const OUTBOX_NAME: &str = "^[a-z0-9]+(_[a-z0-9]+)*$";
const HOW_LONG_A_NAME: u64 = 63;

/// The schema, as text.
pub fn schema() -> String {
    let mut root = object("Configuration of outbox-relay");
    for section in sections() {
        let mut at = &mut root;
        for name in section.path.split('.') {
            at = below(at, name);
        }
        at["description"] = section.intro.into();
        for key in section.keys {
            place(at, split(key).1, key);
        }
    }
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["definitions"] = json!({ "property": property() });
    refuse(below(below(&mut root, "kafka"), "properties"));
    let mut text = serde_json::to_string_pretty(&root).expect("texts always become JSON");
    text.push('\n');
    text
}

fn object(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "properties": {},
        "additionalProperties": false,
    })
}

/// The object `name` inside this one; `*` is whatever may be the name of an outbox.
fn below<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    if name != "*" {
        return object["properties"]
            .as_object_mut()
            .expect("every object here has properties")
            .entry(name)
            .or_insert_with(|| self::object(""));
    }
    object["propertyNames"] = json!({ "maxLength": HOW_LONG_A_NAME });
    if object.get("patternProperties").is_none() {
        object["patternProperties"] = json!({ OUTBOX_NAME: self::object("") });
    }
    &mut object["patternProperties"][OUTBOX_NAME]
}

fn place(section: &mut Value, name: &str, key: &Key) {
    match key.kind {
        Kind::Property => section["additionalProperties"] = json!({ "$ref": "#/definitions/property" }),
        Kind::SecretFile if name == "*" => {
            section["additionalProperties"] = json!({ "description": key.meaning, "$ref": "#/definitions/property" });
        }
        _ => section["properties"][name] = value(key),
    }
}

/// A value, or a table of values: `sasl.mechanism` without quotes is a table in TOML.
fn property() -> Value {
    json!({
        "type": ["string", "number", "boolean", "object"],
        "additionalProperties": { "$ref": "#/definitions/property" },
    })
}

fn value(key: &Key) -> Value {
    let mut value = shape(key.kind);
    value.insert("description".to_owned(), description(key).into());
    if let Some(text) = default(key) {
        value.insert("default".to_owned(), literal(key.kind, &text));
    }
    if !key.examples.is_empty() {
        value.insert(
            "examples".to_owned(),
            key.examples.iter().map(|text| literal(key.kind, text)).collect(),
        );
    }
    value.into()
}

fn description(key: &Key) -> String {
    let required = match key.default {
        Fallback::Required => "Required, here or elsewhere. ",
        _ => "",
    };
    let unit = match key.unit() {
        "" => String::new(),
        unit => format!(" In {unit}."),
    };
    let note = if key.note.is_empty() {
        String::new()
    } else {
        format!(" {}", key.note)
    };
    format!("{required}{}{unit}{note}", key.meaning)
}

fn shape(kind: Kind) -> Map<String, Value> {
    let shape = match kind {
        Kind::Whole { min, max, .. } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Column => json!({ "type": "string", "maxLength": HOW_LONG_A_NAME }),
        Kind::Identifier => json!({ "type": "string", "minLength": 1, "maxLength": HOW_LONG_A_NAME }),
        Kind::SlotName => json!({ "type": "string", "pattern": "^[a-z0-9_]{1,63}$" }),
        Kind::List | Kind::Hosts => json!({
            "type": ["array", "string"],
            "items": { "type": "string", "minLength": 1 },
            "uniqueItems": true,
        }),
        Kind::TopicName => json!({ "type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$" }),
        Kind::Address => json!({ "type": "string", "pattern": "^.+:[0-9]{1,5}$" }),
        Kind::Text | Kind::Topic | Kind::Filter | Kind::Secret | Kind::SecretFile | Kind::File => {
            json!({ "type": "string", "minLength": 1 })
        }
        Kind::Property => unreachable!("a property has no name of its own"),
    };
    match shape {
        Value::Object(shape) => shape,
        _ => unreachable!("every shape is an object"),
    }
}

/// An editor then marks what the relay refuses, and shows why.
fn refuse(properties: &mut Value) {
    for row in REFUSED {
        for name in row.names {
            let mut refused = json!({ "description": format!("Refused: {}. Instead: {}.", row.reason, row.instead) });
            match row.accepted {
                Accepted::Nothing => refused["not"] = json!({}),
                Accepted::OneOf(words) => {
                    let numbers = words
                        .iter()
                        .filter_map(|word| word.parse::<u64>().ok())
                        .map(Value::from);
                    refused["enum"] = words.iter().map(|word| Value::from(*word)).chain(numbers).collect();
                }
            }
            properties["properties"][*name] = refused;
        }
    }
}

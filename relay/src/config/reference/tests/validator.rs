//! So much of JSON schema as our own uses. A word that it does not know is an error, so that nothing passes unread.

use serde_json::{Map, Value};
use toml::de::DeValue;

/// What is wrong with `value`, each with its path.
pub(super) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check {
        root: schema,
        found: &mut found,
    }
    .check(schema, value, "");
    found
}

/// A TOML value as JSON.
pub(super) fn json(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.into_owned().into(),
        DeValue::Integer(number) => number.as_str().parse::<i64>().expect("a number").into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().expect("a number").into(),
        DeValue::Boolean(yes) => yes.into(),
        DeValue::Datetime(when) => when.to_string().into(),
        DeValue::Array(items) => items.into_iter().map(|item| json(item.into_inner())).collect(),
        DeValue::Table(table) => {
            let entry = |(key, value): (toml::Spanned<_>, toml::Spanned<_>)| {
                (String::from(key.into_inner()), json(value.into_inner()))
            };
            table.into_iter().map(entry).collect::<Map<_, _>>().into()
        }
    }
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn check(&mut self, schema: &Value, value: &Value, path: &str) {
        for (word, wanted) in schema.as_object().expect("a schema is an object") {
            let holds = match word.as_str() {
                "$schema" | "definitions" | "description" | "default" | "examples" => true,
                // Below, for each member.
                "properties" | "patternProperties" | "additionalProperties"
                    if wanted.is_object() || wanted.is_boolean() =>
                {
                    true
                }
                "type" => has_type(wanted, value),
                "enum" => wanted.as_array().expect("words").contains(value),
                "minimum" => value.as_i64() >= wanted.as_i64(),
                "maximum" => value.as_i64() <= wanted.as_i64(),
                "minLength" => length(value).is_none_or(|length| length >= wanted.as_u64().expect("a number")),
                "maxLength" => length(value).is_none_or(|length| length <= wanted.as_u64().expect("a number")),
                "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
                "uniqueItems" => value
                    .as_array()
                    .is_none_or(|items| (1..items.len()).all(|at| !items[..at].contains(&items[at]))),
                "items" => {
                    value
                        .as_array()
                        .into_iter()
                        .flatten()
                        .for_each(|item| self.check(wanted, item, path));
                    true
                }
                "not" => *wanted != serde_json::json!({}),
                "propertyNames" => {
                    names(value).for_each(|name| self.check(wanted, &name.clone().into(), path));
                    true
                }
                "$ref" => {
                    let target = wanted.as_str().expect("a path").trim_start_matches('#');
                    self.check(&self.root.pointer(target).expect("a definition").clone(), value, path);
                    true
                }
                other => panic!("the schema says {other:?}, which is not known here"),
            };
            if !holds {
                self.found.push(format!("{path}: {word} {wanted}"));
            }
        }
        for name in names(value) {
            self.member(schema, name, &value[name], &format!("{path}/{name}"));
        }
    }

    fn member(&mut self, schema: &Value, name: &String, value: &Value, path: &str) {
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let by_pattern = patterns
            .into_iter()
            .flatten()
            .find(|(pattern, _)| matches(&Value::from(pattern.as_str()), name));
        let known = schema["properties"].get(name).or(by_pattern.map(|(_, schema)| schema));
        match known.or(schema.get("additionalProperties")) {
            Some(Value::Bool(false)) => self.found.push(format!("{path}: there is no such key")),
            Some(schema) => self.check(schema, value, path),
            None => {}
        }
    }
}

fn names(value: &Value) -> impl Iterator<Item = &String> {
    value.as_object().into_iter().flat_map(Map::keys)
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().expect("a pattern");
    regex::Regex::new(pattern).expect("a pattern").is_match(text)
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().expect("the name of a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("no type is called {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

//! Chosen members of a row's metadata document, as headers.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How many members of one metadata document can become headers: each costs the producer time on every record.
pub const METADATA_HEADERS_MAX: usize = 8;

/// The members that were chosen and are there. A string gives its text, anything else its JSON, null nothing.
#[derive(Debug, Default)]
pub(crate) struct MetadataHeaders<'a> {
    names: &'a [String],
    values: [Option<Cow<'a, str>>; METADATA_HEADERS_MAX],
}

impl<'a> MetadataHeaders<'a> {
    /// Reads the members called `names` from a JSON document; `None` when it is not JSON. A document that is no object
    /// has no members: `null` and `[]` are what some languages make of no metadata at all, and no reason to halt.
    pub(crate) fn read(names: &'a [String], document: &'a [u8]) -> Option<Self> {
        let document = std::str::from_utf8(document).ok()?;
        let mut json = serde_json::Deserializer::from_str(document);
        let is_object = document.trim_ascii_start().starts_with('{');
        let headers = if is_object {
            json.deserialize_map(Members { names }).ok()?
        } else {
            IgnoredAny::deserialize(&mut json).ok()?;
            Self::default()
        };
        json.end().ok()?;
        Some(headers)
    }

    pub(crate) fn count(&self) -> usize {
        self.values.iter().flatten().count()
    }

    pub(crate) fn for_each(&self, mut each: impl FnMut(&str, &[u8])) {
        for (name, value) in self.names.iter().zip(&self.values) {
            if let Some(value) = value {
                each(name, value.as_bytes());
            }
        }
    }
}

struct Members<'a> {
    names: &'a [String],
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = MetadataHeaders<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut headers = MetadataHeaders {
            names: self.names,
            values: Default::default(),
        };
        while let Some(name) = members.next_key::<Borrowing<'de>>()?.map(|name| name.0) {
            let place = self.names.iter().position(|chosen| *chosen == *name);
            match place.and_then(|place| headers.values.get_mut(place)) {
                None => drop(members.next_value::<IgnoredAny>()?),
                Some(value) => *value = header_value(members.next_value::<&'de RawValue>()?),
            }
        }
        Ok(headers)
    }
}

fn header_value(json: &RawValue) -> Option<Cow<'_, str>> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str::<Borrowing<'_>>(text)
            .ok()
            .map(|borrowing| borrowing.0),
        other => Some(Cow::Borrowed(other)),
    }
}

/// A string that is borrowed unless it holds an escape.
#[derive(serde::Deserialize)]
struct Borrowing<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str], document: &str) -> Option<Vec<(String, String)>> {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let headers = MetadataHeaders::read(&names, document.as_bytes())?;
        let mut read = Vec::new();
        headers.for_each(|name, value| read.push((name.to_owned(), String::from_utf8_lossy(value).into_owned())));
        Some(read)
    }

    #[test]
    fn chosen_members_become_headers_and_others_do_not() {
        let document = r#"{"b": 12, "a": "x\"y", "other": [1, 2], "n": null, "o": {"k": 1}}"#;
        let expected = [("a", "x\"y"), ("b", "12"), ("o", r#"{"k": 1}"#)];
        let expected = expected
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        assert_eq!(read(&["a", "b", "n", "o", "missing"], document), Some(expected));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for document in ["", "[", "x", r#"{"a": }"#, r#"{"a": 1} 2"#, "null null"] {
            assert_eq!(read(&["a"], document), None, "{document:?}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for document in ["null", " null ", "[]", "1", "\"a\"", r#"[{"a": 1}]"#] {
            assert_eq!(read(&["a"], document), Some(Vec::new()), "{document:?}");
        }
    }
}

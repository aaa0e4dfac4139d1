//! Bytes in JSON: as the text that they usually are, else in base64.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are shown as text where they are UTF-8, and as `{"base64": …}` where they are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Encoded { base64: String },
}

#[derive(Serialize)]
struct Encoded {
    base64: String,
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Encoded {
                base64: openssl::base64::encode_block(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Encoded { base64 } => openssl::base64::decode_block(&base64)
                .map(Self)
                .map_err(|_| serde::de::Error::custom("it is not base64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be_and_come_back_as_they_were() {
        for (bytes, written) in [
            (&b"{\"a\": \"\xc3\xa4\"}"[..], r#""{\"a\": \"ä\"}""#),
            (b"", r#""""#),
            (b"a\0b\n", r#""a\u0000b\n""#),
            (b"\xff\x00", r#"{"base64":"/wA="}"#),
        ] {
            let bytes = Bytes(bytes.to_vec());
            let text = serde_json::to_string(&bytes).expect("JSON");
            assert_eq!(text, written);
            assert_eq!(serde_json::from_str::<Bytes>(&text).expect("bytes"), bytes);
        }
        assert!(serde_json::from_str::<Bytes>(r#"{"base64":"?"}"#).is_err());
    }
}

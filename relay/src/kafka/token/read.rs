//! What a source of tokens gives: a JWT, or JSON around a token that only the brokers understand.

use openssl::base64::decode_block;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::Token;

/// What a JWT says of itself. It is not verified here: that is the brokers' part.
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    token: String,
    principal: Option<String>,
    expires_at_ms: i64,
}

/// librdkafka wants a name and uses it nowhere.
const NOBODY: &str = "unnamed";

/// The token that was printed.
pub(super) fn token(printed: &SecretString, now_ms: i64) -> Result<Token, String> {
    let text = printed.expose_secret().trim();
    if text.is_empty() {
        return Err("it gave nothing".to_owned());
    }
    let token = if text.starts_with('{') {
        wrapped(text)?
    } else {
        jwt(text)?
    };
    if token.expires_at_ms <= now_ms {
        let ago_s = (now_ms - token.expires_at_ms) / 1000;
        return Err(format!("the token ended {ago_s} s ago"));
    }
    Ok(token)
}

fn wrapped(text: &str) -> Result<Token, String> {
    // What serde says of a value quotes it, and the value may be the token.
    let wrapped: Wrapped = serde_json::from_str(text).map_err(|error| {
        format!(
            "the JSON is not {{\"token\": …, \"principal\": …, \"expires_at_ms\": …}} (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    Ok(Token {
        value: wrapped.token.into(),
        principal: wrapped.principal.unwrap_or_else(|| NOBODY.to_owned()),
        expires_at_ms: wrapped.expires_at_ms,
    })
}

fn jwt(text: &str) -> Result<Token, String> {
    let claims = claims(text).ok_or("it gave neither a JWT nor JSON that begins with {")?;
    let expires_at_s = claims.exp.ok_or("the JWT does not say when it ends (exp)")?;
    #[allow(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
    let expires_at_ms = (expires_at_s * 1000.0) as i64;
    Ok(Token {
        value: text.into(),
        principal: claims.sub.unwrap_or_else(|| NOBODY.to_owned()),
        expires_at_ms,
    })
}

fn claims(text: &str) -> Option<Claims> {
    let mut parts = text.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let mut padded = payload.replace('-', "+").replace('_', "/");
    let missing = padded.len().next_multiple_of(4) - padded.len();
    padded.push_str(&"=".repeat(missing));
    serde_json::from_slice(&decode_block(&padded).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"sub":"~~??","exp":1700000000.5}`, whose Base64 has both of the characters that URLs replace.
    const JWT: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ-fj8_IiwiZXhwIjoxNzAwMDAwMDAwLjV9.";

    fn read(text: &str, now_ms: i64) -> Result<Token, String> {
        token(&text.into(), now_ms)
    }

    #[test]
    fn a_jwt_says_itself_whose_it_is_and_when_it_ends() {
        let token = read(&format!(" {JWT}\n"), 1_699_999_999_000).expect("a token");
        assert_eq!(
            (token.principal.as_str(), token.expires_at_ms),
            ("~~??", 1_700_000_000_500)
        );
        assert_eq!(token.value.expose_secret(), JWT);
    }

    #[test]
    fn a_token_that_nobody_can_read_comes_in_json() {
        let token = read(r#"{"token": "opaque", "expires_at_ms": 5}"#, 4).expect("a token");
        assert_eq!(
            (token.value.expose_secret(), token.principal.as_str()),
            ("opaque", NOBODY)
        );
    }

    #[test]
    fn what_is_no_token_is_said_without_showing_it() {
        for (given, said) in [
            ("", "nothing"),
            ("hunter2", "neither a JWT nor JSON"),
            ("a.hunter2.c.d", "neither a JWT nor JSON"),
            ("{\"hunter2\": 1}", "is not {\"token\""),
            (
                "{\"token\": \"hunter2\", \"expires_at_ms\": \"hunter2\"}",
                "is not {\"token\"",
            ),
            ("eyJhbGciOiJub25lIn0.e30.", "(exp)"),
        ] {
            let why = read(given, 0).expect_err(given);
            assert!(why.contains(said) && !why.contains("hunter2"), "{given}: {why}");
        }
        assert!(read(JWT, 1_700_000_010_500).is_err_and(|why| why.contains("ended 10 s ago")));
    }
}

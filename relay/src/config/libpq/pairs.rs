//! `host=db1 password='with a space'`.

use std::iter::Peekable;
use std::str::Chars;

use super::super::errors::Fault;

/// Keywords and values. No message holds a word of the text: what follows a password without quotes is a part of it.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut rest = text.chars().peekable();
    let mut pairs = Vec::new();
    loop {
        skip_space(&mut rest);
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let name = name(&mut rest);
        skip_space(&mut rest);
        if rest.next() != Some('=') || name.is_empty() {
            return Err(Fault::new(
                "is neither a postgres:// URL nor keyword=value",
                "write keyword=value with spaces between; a value with spaces goes into single quotes",
            ));
        }
        skip_space(&mut rest);
        pairs.push((name, value(&mut rest)?));
    }
}

fn skip_space(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(char::is_ascii_whitespace).is_some() {}
}

fn name(rest: &mut Peekable<Chars<'_>>) -> String {
    std::iter::from_fn(|| rest.next_if(|c| !c.is_ascii_whitespace() && *c != '=')).collect()
}

fn value(rest: &mut Peekable<Chars<'_>>) -> Result<String, Fault> {
    let is_quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.next() {
            Some('\'') if is_quoted => return Ok(value),
            None if is_quoted => {
                return Err(Fault::new(
                    "has a value whose single quote never ends",
                    "end it; inside, write ' as \\' and \\ as \\\\",
                ));
            }
            None => return Ok(value),
            Some(c) if !is_quoted && c.is_ascii_whitespace() => return Ok(value),
            Some('\\') => value.extend(rest.next()),
            Some(c) => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_say_what_they_say_to_libpq() {
        let text =
            " host=db1 port = 5433\n dbname='a b' user=a\\ b password='it\\'s \\\\' application_name= 'x'options=''";
        let expected = [
            ("host", "db1"),
            ("port", "5433"),
            ("dbname", "a b"),
            ("user", "a b"),
            ("password", "it's \\"),
            ("application_name", "x"),
            ("options", ""),
        ];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn what_is_not_a_pair_is_refused_and_not_shown() {
        for text in [
            "password=x hunter2",
            "hunter2",
            "=hunter2",
            "password='hunter2",
            "user='a' 'hunter2'",
        ] {
            let fault = parse(text).expect_err(text);
            assert!(!format!("{fault:?}").contains("hunter2"), "{text}: {fault:?}");
        }
    }
}

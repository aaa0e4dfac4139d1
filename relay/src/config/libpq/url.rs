//! `postgres://user:password@host1:port1,host2/database?keyword=value`.
//!
//! Stricter than libpq in one thing: a `@`, `/` or `?` that could belong to a name or a password or end it has to be
//! written as `%40`, `%2F` or `%3F`. A guess would send a part of a password somewhere, or show it.

use super::super::errors::Fault;

/// Keywords and values; `rest` is what follows the scheme.
pub(super) fn parse(rest: &str) -> Result<Vec<(String, String)>, Fault> {
    let (authority, rest) = match rest.find(['@', '/']) {
        Some(at) if rest[at..].starts_with('@') => (Some(&rest[..at]), &rest[at + 1..]),
        _ => (None, rest),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    let (hosts, database) = match path.split_once('/') {
        Some((hosts, database)) => (hosts, Some(database)),
        None => (path, None),
    };
    let mut pairs = Vec::new();
    if let Some(authority) = authority {
        login(authority, &mut pairs)?;
    }
    servers(hosts, &mut pairs)?;
    if let Some(database) = database {
        if database.contains(['@', '/']) {
            return Err(unencoded());
        }
        push(&mut pairs, "dbname", decoded(database)?);
    }
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        if let Some((name, value)) = keyword(parameter)? {
            push(&mut pairs, &name, value);
        }
    }
    Ok(pairs)
}

fn push(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    pairs.push((name.to_owned(), value));
}

fn unencoded() -> Fault {
    Fault::new(
        "has a @, / or ? where none can be",
        "in a name or a password write @ as %40, / as %2F, ? as %3F and % as %25",
    )
}

fn login(authority: &str, pairs: &mut Vec<(String, String)>) -> Result<(), Fault> {
    if authority.contains('?') {
        return Err(unencoded());
    }
    let (user, password) = match authority.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (authority, None),
    };
    push(pairs, "user", decoded(user)?);
    if let Some(password) = password {
        push(pairs, "password", decoded(password)?);
    }
    Ok(())
}

fn servers(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), Fault> {
    if text.contains('@') {
        return Err(unencoded());
    }
    let servers = text.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
    let (hosts, ports): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
    push(pairs, "host", hosts.join(","));
    let ports: Vec<&str> = ports.into_iter().map(Option::unwrap_or_default).collect();
    if ports.iter().any(|port| !port.is_empty()) {
        push(pairs, "port", ports.join(","));
    }
    Ok(())
}

fn server(text: &str) -> Result<(String, Option<&str>), Fault> {
    let wrong = || {
        let remedy = "write the port behind one colon, and an IPv6 address in brackets; a / in a password is %2F";
        Fault::new("has something that is no host", remedy)
    };
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(wrong)?;
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or_else(wrong)?),
        };
        (address.to_owned(), port)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (decoded(host)?, Some(port)),
            None => (decoded(text)?, None),
        }
    };
    if host.contains(',') || port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(wrong());
    }
    Ok((host, port))
}

fn keyword(parameter: &str) -> Result<Option<(String, String)>, Fault> {
    if parameter.is_empty() {
        return Ok(None);
    }
    let wrong = || {
        Fault::new(
            "has something behind the ? that is not keyword=value",
            "write keyword=value&keyword=value; in a value = is %3D and & is %26",
        )
    };
    let (name, value) = parameter.split_once('=').ok_or_else(wrong)?;
    if value.contains('=') {
        return Err(wrong());
    }
    Ok(Some((decoded(name)?, decoded(value)?)))
}

fn decoded(text: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::new(
            "has a % without two hexadecimal digits of a character",
            "write % itself as %25",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            char::from(rest.next()?)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rest: &str) -> Vec<(String, String)> {
        let pairs = parse(rest).unwrap_or_else(|fault| panic!("{rest}: {fault:?}"));
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The examples of libpq's documentation, and some more.
    #[test]
    fn a_url_says_what_it_says_to_libpq() {
        for (url, said) in [
            ("", &[][..]),
            ("localhost", &[("host", "localhost")]),
            ("localhost:5433", &[("host", "localhost"), ("port", "5433")]),
            ("localhost/mydb", &[("host", "localhost"), ("dbname", "mydb")]),
            ("user@localhost", &[("user", "user"), ("host", "localhost")]),
            (
                "user:secret@localhost",
                &[("user", "user"), ("password", "secret"), ("host", "localhost")],
            ),
            (
                "other@localhost/otherdb?connect_timeout=10&application_name=myapp",
                &[
                    ("user", "other"),
                    ("host", "localhost"),
                    ("dbname", "otherdb"),
                    ("connect_timeout", "10"),
                    ("application_name", "myapp"),
                ],
            ),
            (
                "host1:123,host2:456/somedb?target_session_attrs=any",
                &[
                    ("host", "host1,host2"),
                    ("port", "123,456"),
                    ("dbname", "somedb"),
                    ("target_session_attrs", "any"),
                ],
            ),
            ("user@/mydb", &[("user", "user"), ("dbname", "mydb")]),
            (
                "/mydb?host=localhost&port=5433",
                &[("dbname", "mydb"), ("host", "localhost"), ("port", "5433")],
            ),
            (
                "[2001:db8::1234]/database",
                &[("host", "2001:db8::1234"), ("dbname", "database")],
            ),
            ("[::1]:5433", &[("host", "::1"), ("port", "5433")]),
            (
                "%2Fvar%2Flib%2Fpostgresql/dbname",
                &[("host", "/var/lib/postgresql"), ("dbname", "dbname")],
            ),
            ("a,b:2/x", &[("host", "a,b"), ("port", ",2"), ("dbname", "x")]),
            (":5433/x", &[("port", "5433"), ("dbname", "x")]),
            (
                "u:a:b%40%2F%3f%25@h",
                &[("user", "u"), ("password", "a:b@/?%"), ("host", "h")],
            ),
            ("h?", &[("host", "h")]),
        ] {
            assert_eq!(pairs(url), expected(said), "{url}");
        }
    }

    #[test]
    fn what_could_be_a_part_of_a_password_is_neither_guessed_nor_shown() {
        for url in [
            "u:hun@ter2@h/x",
            "u:hun/ter2@h/x",
            "u:12/ter2@h/x",
            "u:hun?ter2@h/x",
            "u:hunter2%@h",
            "u:hunter2%4@h",
            "u:hunter2%zz@h",
            "u:hunter2%00@h",
            "u:hunter2%ff@h",
            "h:hunter2",
            "[::1]hunter2",
            "[hunter2",
            "h?hunter2",
            "h?a=b=hunter2",
            "hunter%2C2",
        ] {
            let fault = parse(url).expect_err(url);
            assert!(!format!("{fault:?}").contains("ter2"), "{url}: {fault:?}");
        }
    }
}

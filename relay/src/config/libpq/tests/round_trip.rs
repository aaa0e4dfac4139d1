//! What is written into a string is read out of it.

use std::fmt::Write;

use proptest::prelude::*;

use crate::config::libpq::parse;

/// Of every keyword that becomes a key, some value, whatever characters it has.
fn any_parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = "[ -~äß€\u{1f600}]{1,12}";
    let some = |name: &'static str| proptest::option::of(text.prop_map(move |value| (name.to_owned(), value)));
    (
        some("user"),
        some("password"),
        some("dbname"),
        some("application_name"),
        proptest::option::of(
            ("[a-z][a-z0-9.-]{0,8}(,[a-z0-9]{1,8}){0,3}", 1_u16..).prop_map(|(hosts, port)| (hosts, port)),
        ),
    )
        .prop_map(|(user, password, dbname, name, servers)| {
            let servers = servers.into_iter().flat_map(|(hosts, port)| {
                let ports = vec![port.to_string(); hosts.split(',').count()].join(",");
                [("host".to_owned(), hosts), ("port".to_owned(), ports)]
            });
            [user, password, dbname, name]
                .into_iter()
                .flatten()
                .chain(servers)
                .collect()
        })
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02x}").expect("a string takes everything");
        }
        out
    })
}

fn as_url(parameters: &[(String, String)]) -> String {
    let get = |name: &str| {
        parameters
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    };
    let mut url = String::from("postgresql://");
    // A password without a user is one of the parameters.
    let login = get("user").map(|user| (user, get("password")));
    if let Some((user, password)) = login {
        url += &encoded(user);
        url += &password
            .map(|password| format!(":{}", encoded(password)))
            .unwrap_or_default();
        url.push('@');
    }
    if let (Some(hosts), Some(ports)) = (get("host"), get("port")) {
        let servers = hosts
            .split(',')
            .zip(ports.split(','))
            .map(|(host, port)| format!("{host}:{port}"));
        url += &servers.collect::<Vec<_>>().join(",");
    }
    url += &get("dbname")
        .map(|name| format!("/{}", encoded(name)))
        .unwrap_or_default();
    let mut rest = vec![];
    rest.extend(get("application_name").map(|name| format!("application_name={}", encoded(name))));
    rest.extend(
        get("password")
            .filter(|_| login.is_none())
            .map(|password| format!("password={}", encoded(password))),
    );
    if rest.is_empty() {
        url
    } else {
        format!("{url}?{}", rest.join("&"))
    }
}

fn as_pairs(parameters: &[(String, String)]) -> String {
    let pair =
        |(name, value): &(String, String)| format!("{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    parameters.iter().map(pair).collect::<Vec<_>>().join("\n")
}

proptest! {
    #[test]
    fn what_is_written_into_either_form_is_read_out_of_it(parameters in any_parameters()) {
        for text in [as_url(&parameters), as_pairs(&parameters)] {
            let read = parse(&text).map_err(|faults| TestCaseError::fail(format!("{text}: {faults:?}")))?;
            let mut read: Vec<_> = read.into_iter().map(|read| (read.keyword.name.to_owned(), read.value)).collect();
            read.sort();
            let mut expected = parameters.clone();
            expected.sort();
            prop_assert_eq!(read, expected, "{}", text);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(postgres://)?\\PC{0,40}") {
        let _ = parse(&text);
    }
}

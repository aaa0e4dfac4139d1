//! Names of librdkafka properties: how they are written in the environment, which are the same, which hold secrets.

/// Where properties are given.
pub(super) const PREFIX: &str = "kafka.properties.";
/// Where files with the values of properties are given.
pub(super) const FILES_PREFIX: &str = "kafka.property_files.";

/// librdkafka's second names, each with the first. Both may be set there, and the one that happens to be set later wins.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("sasl.mechanisms", "sasl.mechanism"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
];

/// The one name that stands for all names of a property, so that the later layer wins whatever it calls it.
pub(super) fn canonical(name: &str) -> &str {
    ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, canonical)| canonical)
}

/// The prefix and the property's name, if `path` is a property or the file of one.
pub(super) fn split(path: &str) -> Option<(&'static str, &str)> {
    [PREFIX, FILES_PREFIX]
        .into_iter()
        .find_map(|prefix| Some((prefix, path.strip_prefix(prefix)?)))
}

/// Whether the value of this property must not be shown. Unknown names are judged by the same words, so that a
/// property of a newer librdkafka is hidden too.
pub(super) fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 5] = ["password", "passphrase", "secret", "jaas", ".pem"];
    const NAMES: [&str; 3] = ["sasl.oauthbearer.config", "sasl.oauthbearer.extensions", "ssl_key"];
    const PUBLIC: [&str; 3] = ["ssl.ca.pem", "ssl.certificate.pem", "https.ca.pem"];
    let name = name.to_ascii_lowercase();
    let speaks_of_a_secret = WORDS.iter().any(|word| name.contains(word)) || NAMES.contains(&name.as_str());
    speaks_of_a_secret && !PUBLIC.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_librdkafka_that_holds_a_secret_is_known_as_one() {
        for name in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "SASL.Password",
        ] {
            assert!(is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_name_without_a_secret_is_shown() {
        for name in [
            "sasl.username",
            "ssl.ca.pem",
            "ssl.key.location",
            "sasl.oauthbearer.token.endpoint.url",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn two_names_of_one_property_are_one() {
        assert_eq!(canonical("compression.codec"), canonical("compression.type"));
        assert_eq!(canonical("batch.size"), "batch.size");
    }
}

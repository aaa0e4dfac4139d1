//! libpq's parameters: which of our keys they are, which change nothing here, and which are refused.
//!
//! Source: PostgreSQL 18 documentation, "Parameter Key Words" and "Environment Variables".

use super::Means::{self, Already, Key, Refused, Seconds, Words};

/// One of libpq's connection parameters.
#[derive(Debug)]
pub(in crate::config) struct Keyword {
    /// As connection strings spell it.
    pub(in crate::config) name: &'static str,
    /// Its environment variable; empty where it has none, or where the variable is passed over.
    pub(in crate::config) variable: &'static str,
    /// What it is to the relay.
    pub(in crate::config) means: Means,
}

/// The keyword of this name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// The keyword that was probably meant.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let furthest = (name.len() / 3).max(2);
    KEYWORDS
        .iter()
        .map(|keyword| (strsim::damerau_levenshtein(name, keyword.name), keyword.name))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

const fn row(name: &'static str, variable: &'static str, means: Means) -> Keyword {
    Keyword { name, variable, means }
}

const fn refused(reason: &'static str, instead: &'static str) -> Means {
    Refused {
        reason,
        instead,
        unless: &[],
    }
}

/// Refused, but a variable only where none of these keys is set: what is set there decides.
const fn refused_unless(unless: &'static [&'static str], reason: &'static str, instead: &'static str) -> Means {
    Refused {
        reason,
        instead,
        unless,
    }
}

/// Nothing to do for these values, or for any if none is named.
const fn already(values: &'static [&'static str], reason: &'static str, instead: &'static str) -> Means {
    Already {
        values,
        reason,
        instead,
    }
}

const FALLS_BACK: &str = "it goes on in plain text when the server, or whoever stands between, will not encrypt";
const BROKEN: &str = "this version of TLS is broken";
const NO_STANDBY: &str = "the slot and what the relay writes beside it are on the primary";
const NO_GSSAPI: &str = "the relay speaks no GSSAPI";
const REMOVE: &str = "remove it";

/// The table.
#[rustfmt::skip]
pub(in crate::config) static KEYWORDS: &[Keyword] = &[
    row("host", "PGHOST", Key("postgres.host")),
    row("hostaddr", "PGHOSTADDR", refused_unless(&["postgres.host"],
        "the relay looks names up itself, anew on every connect, and verifies the name",
        "give the name, or the address, as host")),
    row("port", "PGPORT", Key("postgres.port")),
    row("dbname", "PGDATABASE", Key("postgres.database")),
    row("user", "PGUSER", Key("postgres.user")),
    row("password", "PGPASSWORD", Key("postgres.password")),
    row("passfile", "PGPASSFILE", Key("postgres.passfile")),
    row("sslmode", "PGSSLMODE", Words {
        key: "postgres.tls_mode",
        words: &[("verify-full", "verify-full"), ("verify-ca", "verify-ca"), ("require", "require"), ("disable", "disable")],
        refused: &[("prefer", FALLS_BACK), ("allow", FALLS_BACK)],
    }),
    row("sslrootcert", "PGSSLROOTCERT", Key("postgres.tls_ca_file")),
    row("sslcert", "PGSSLCERT", Key("postgres.tls_certificate_file")),
    row("sslkey", "PGSSLKEY", Key("postgres.tls_key_file")),
    row("sslpassword", "", refused("a passphrase belongs into a file", "set postgres.tls_key_password_file")),
    row("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Words {
        key: "postgres.tls_min_version",
        words: &[("TLSv1.3", "1.3"), ("TLSv1.2", "1.2")],
        refused: &[("TLSv1.1", BROKEN), ("TLSv1", BROKEN)],
    }),
    row("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", already(&["TLSv1.3"],
        "the relay speaks the newest version that both sides know", REMOVE)),
    row("channel_binding", "PGCHANNELBINDING", Words {
        key: "postgres.channel_binding",
        words: &[("prefer", "prefer"), ("require", "require"), ("disable", "disable")],
        refused: &[],
    }),
    row("target_session_attrs", "PGTARGETSESSIONATTRS", Words {
        key: "postgres.target_session_attrs",
        words: &[("read-write", "read-write"), ("primary", "read-write"), ("any", "any")],
        refused: &[("read-only", NO_STANDBY), ("standby", NO_STANDBY), ("prefer-standby", NO_STANDBY)],
    }),
    row("application_name", "PGAPPNAME", Key("postgres.application_name")),
    row("connect_timeout", "PGCONNECT_TIMEOUT", Seconds("postgres.connect_timeout_ms")),
    row("service", "PGSERVICE", refused_unless(&["postgres.host", "postgres.database"],
        "the relay reads no service file", "give host, port, database and user themselves")),
    row("servicefile", "", refused("the relay reads no service file", REMOVE)),
    row("require_auth", "PGREQUIREAUTH", refused_unless(&["postgres.password_methods"],
        "the relay says it in its own words", "set postgres.password_methods, or channel_binding=require, which asks for more")),
    row("sslcrl", "PGSSLCRL", refused("the relay reads no revocation lists, and would trust what was revoked", REMOVE)),
    row("sslcrldir", "PGSSLCRLDIR", refused("the relay reads no revocation lists, and would trust what was revoked", REMOVE)),
    row("sslcertmode", "PGSSLCERTMODE", already(&["allow"],
        "the relay shows its certificate to a server that asks for one", "remove it; without sslcert none is shown")),
    row("sslsni", "PGSSLSNI", already(&["1"], "the relay always names the host that it wants", REMOVE)),
    row("sslnegotiation", "PGSSLNEGOTIATION", already(&["postgres"],
        "the relay asks for TLS as every supported server understands it", REMOVE)),
    row("sslcompression", "PGSSLCOMPRESSION", already(&[], "TLS is never compressed", "")),
    row("sslkeylogfile", "", refused("it writes the keys of the encryption into a file", REMOVE)),
    row("ssl", "", refused("it says nothing of what is verified", "write sslmode=verify-full, or another mode")),
    row("requirepeer", "PGREQUIREPEER", refused("the relay does not ask whose process is behind a unix socket", REMOVE)),
    row("gssencmode", "PGGSSENCMODE", already(&["disable", "prefer"], NO_GSSAPI, "remove it; TLS encrypts")),
    row("krbsrvname", "PGKRBSRVNAME", already(&[], NO_GSSAPI, "")),
    row("gsslib", "PGGSSLIB", already(&[], NO_GSSAPI, "")),
    row("gssdelegation", "PGGSSDELEGATION", already(&[], NO_GSSAPI, "")),
    row("load_balance_hosts", "PGLOADBALANCEHOSTS", already(&["disable"],
        "the relay tries hosts in the order given", REMOVE)),
    row("min_protocol_version", "PGMINPROTOCOLVERSION", already(&["3.0"], "the relay speaks protocol 3.0", REMOVE)),
    row("max_protocol_version", "PGMAXPROTOCOLVERSION", already(&[], "the relay speaks protocol 3.0", "")),
    row("keepalives", "", already(&["1"], "the relay always sends keepalives", REMOVE)),
    row("keepalives_idle", "", already(&[], "the relay has keepalives of its own", "")),
    row("keepalives_interval", "", already(&[], "the relay has keepalives of its own", "")),
    row("keepalives_count", "", already(&[], "the relay has keepalives of its own", "")),
    row("tcp_user_timeout", "", already(&[], "it follows postgres.wal_sender_timeout_ms", "")),
    row("client_encoding", "", already(&[], "the relay always speaks UTF-8", "")),
    row("fallback_application_name", "", already(&[], "the relay has a name: postgres.application_name", "")),
    row("options", "", refused("the relay sets what its sessions need, and some proxies read the server's name in it",
        "remove it; what every session needs can be set with ALTER ROLE")),
    row("replication", "", refused("the relay opens one connection for replication and one for SQL", REMOVE)),
    row("scram_client_key", "", refused("the relay proves a password, not a key made of it", "give the password")),
    row("scram_server_key", "", refused("the relay proves a password, not a key made of it", "give the password")),
    row("oauth_issuer", "", refused("the relay does not log in to PostgreSQL with OAuth", REMOVE)),
    row("oauth_client_id", "", refused("the relay does not log in to PostgreSQL with OAuth", REMOVE)),
    row("oauth_client_secret", "", refused("the relay does not log in to PostgreSQL with OAuth", REMOVE)),
    row("oauth_scope", "", refused("the relay does not log in to PostgreSQL with OAuth", REMOVE)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::keys;

    #[test]
    fn every_keyword_and_variable_stands_there_once_and_every_key_exists() {
        let (mut names, mut variables) = (BTreeSet::new(), BTreeSet::new());
        for keyword in KEYWORDS {
            assert!(names.insert(keyword.name), "{} twice", keyword.name);
            assert!(
                keyword.variable.is_empty() || variables.insert(keyword.variable),
                "{}",
                keyword.variable
            );
            for key in keyword.means.keys() {
                assert!(keys::find(key).is_some(), "{}: {key}", keyword.name);
            }
        }
    }

    #[test]
    fn a_misspelt_keyword_is_recognised_and_a_strange_word_is_not() {
        assert_eq!(nearest("sslmod"), Some("sslmode"));
        assert_eq!(nearest("database"), None);
        assert_eq!(nearest("hunter2"), None);
    }
}

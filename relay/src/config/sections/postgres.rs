//! `[postgres]`.

use config::Value;

use super::tls;
use crate::config::errors::Fault;
use crate::config::hosts::hosts;
use crate::config::key::Key;
use crate::config::libpq::{self, URL, URL_FILE};
use crate::config::parse::{choice, file, identifier, list, secret, secret_file, slot_name, whole};
use crate::config::reader::{Noted, Reader};
use crate::config::settings::{Host, PasswordMethods, PostgresSettings, Secret, TargetSession};

const PASSWORD_METHODS: [&str; 3] = ["scram-sha-256", "md5", "cleartext"];

/// The server must hear from the relay several times before it gives up.
const STATUS_UPDATES_PER_TIMEOUT: u64 = 3;

pub(super) fn read(reader: &mut Reader) -> Result<PostgresSettings, Noted> {
    let url = reader.optional(URL, secret);
    let url_file = reader.optional(URL_FILE, secret_file);
    let hosts = reader.read("postgres.host", hosts);
    let port = reader.read("postgres.port", whole);
    let target = reader.read("postgres.target_session_attrs", target);
    let tls = tls::read(reader);
    let channel_binding = reader.read("postgres.channel_binding", tls::channel_binding);
    let password_methods = reader.read("postgres.password_methods", password_methods);
    let database = reader.read("postgres.database", identifier);
    let user = reader.read("postgres.user", identifier);
    let password = password(reader, url_file.as_ref());
    let passfile = reader.optional("postgres.passfile", file);
    let slot = reader.read("postgres.slot", slot_name);
    let publication = reader.read("postgres.publication", identifier);
    let application_name = reader.read("postgres.application_name", identifier);
    let connect_timeout_ms = reader.read("postgres.connect_timeout_ms", whole);
    let wal_sender_timeout_ms = reader.read("postgres.wal_sender_timeout_ms", whole);
    let status_interval_ms = reader.read("postgres.status_interval_ms", whole);
    let frame_bytes_max = reader.read("postgres.frame_bytes_max", whole);
    let reconnect_backoff_ms = reader.read("postgres.reconnect_backoff_ms", whole);
    let reconnect_backoff_max_ms = reader.read("postgres.reconnect_backoff_max_ms", whole);
    status_updates_come_in_time(reader, status_interval_ms, wal_sender_timeout_ms);
    reader.at_most(
        ("postgres.reconnect_backoff_ms", reconnect_backoff_ms),
        ("postgres.reconnect_backoff_max_ms", reconnect_backoff_max_ms),
    );
    // What they say was spread over the other keys.
    url?;
    url_file?;
    let port = port?;
    Ok(PostgresSettings {
        hosts: with_port(hosts?, port),
        target: target?,
        tls: tls?,
        channel_binding: channel_binding?,
        password_methods: password_methods?,
        database: database?,
        user: user?,
        password: password?,
        passfile: passfile?,
        slot: slot?,
        publication: publication?,
        application_name: application_name?,
        connect_timeout_ms: connect_timeout_ms?,
        wal_sender_timeout_ms: wal_sender_timeout_ms?,
        status_interval_ms: status_interval_ms?,
        frame_bytes_max: frame_bytes_max?,
        reconnect_backoff_ms: reconnect_backoff_ms?,
        reconnect_backoff_max_ms: reconnect_backoff_max_ms?,
    })
}

fn with_port(hosts: Vec<Host>, port: u16) -> Vec<Host> {
    let of = |host: Host| Host {
        port: if host.port == 0 { port } else { host.port },
        ..host
    };
    hosts.into_iter().map(of).collect()
}

fn target(key: &Key, value: &Value) -> Result<TargetSession, Fault> {
    Ok(if choice(key, value)? == "any" {
        TargetSession::Any
    } else {
        TargetSession::ReadWrite
    })
}

fn password_methods(key: &Key, value: &Value) -> Result<PasswordMethods, Fault> {
    let names = list(key, value)?;
    if let Some(unknown) = names.iter().find(|name| !PASSWORD_METHODS.contains(&name.as_str())) {
        let problem = format!("{unknown:?} is no way to prove a password");
        return Err(Fault::new(
            problem,
            format!("choose from {}", PASSWORD_METHODS.join(", ")),
        ));
    }
    let allows = |method: &str| names.iter().any(|name| name == method);
    Ok(PasswordMethods {
        md5: allows("md5"),
        cleartext: allows("cleartext"),
    })
}

fn password(reader: &mut Reader, url_file: Result<&Option<Secret>, &Noted>) -> Result<Option<Secret>, Noted> {
    let value = reader.optional("postgres.password", secret);
    let file = reader.optional("postgres.password_file", secret_file);
    if reader.is_given("postgres.password") && reader.is_given("postgres.password_file") {
        let problem = format!(
            "is given beside postgres.password_file ({})",
            reader.origin("postgres.password_file")
        );
        reader.fault(
            "postgres.password",
            Fault::new(problem, "keep the file and remove this one"),
        );
        return Err(Noted);
    }
    let is_in_url = libpq::is_from_url_file(&reader.origin("postgres.password"));
    if let (true, Ok(Some(Secret::File(path)))) = (is_in_url, url_file) {
        return Ok(Some(Secret::InUrl(path.clone())));
    }
    let file = file?;
    Ok(value?.or(file))
}

fn status_updates_come_in_time(reader: &mut Reader, interval_ms: Result<u64, Noted>, timeout_ms: Result<u64, Noted>) {
    let (Ok(interval_ms), Ok(timeout_ms)) = (interval_ms, timeout_ms) else {
        return;
    };
    let longest = timeout_ms / STATUS_UPDATES_PER_TIMEOUT;
    if interval_ms > longest {
        let problem = format!("{interval_ms} is more than a third of postgres.wal_sender_timeout_ms, {timeout_ms}");
        let remedy = format!("give at most {longest}, or raise postgres.wal_sender_timeout_ms");
        reader.fault("postgres.status_interval_ms", Fault::new(problem, remedy));
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use crate::config::trial::Trial;

    #[test]
    fn what_is_not_given_is_what_users_expect() {
        let postgres = Trial::minimal().load().expect("no error").settings.postgres;
        assert_eq!(
            (postgres.hosts[0].to_string().as_str(), postgres.database.as_str()),
            ("localhost:5432", "shop")
        );
        assert_eq!(
            (postgres.user.as_str(), postgres.slot.as_str()),
            ("outbox_relay", "outbox_relay")
        );
        assert_eq!(
            (postgres.publication.as_str(), postgres.application_name.as_str()),
            ("outbox_relay", "outbox_relay")
        );
        assert_eq!(
            (postgres.connect_timeout_ms, postgres.wal_sender_timeout_ms),
            (10_000, 60_000)
        );
        assert_eq!(
            (postgres.status_interval_ms, postgres.frame_bytes_max),
            (100, 67_108_864)
        );
        assert_eq!(
            (postgres.reconnect_backoff_ms, postgres.reconnect_backoff_max_ms),
            (1_000, 30_000)
        );
        assert!(postgres.password.is_none());
    }

    #[test]
    fn a_password_and_a_password_file_exclude_each_other() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "hunter2").expect("written");
        let path = file.path().display().to_string();
        let both = Trial::minimal()
            .and("postgres.password = 'x'")
            .env("POSTGRES__PASSWORD_FILE", &path)
            .errors();
        assert_eq!(
            both.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
            ["postgres.password"]
        );
        assert!(
            both.to_string().contains("OUTBOX_RELAY_POSTGRES__PASSWORD_FILE"),
            "{both}"
        );

        let one = Trial::minimal()
            .env("POSTGRES__PASSWORD_FILE", &path)
            .load()
            .expect("no error");
        let password = one
            .settings
            .postgres
            .password
            .expect("a password")
            .reveal()
            .expect("read");
        assert_eq!(password.expose_secret(), "hunter2");
    }

    #[test]
    fn a_password_file_that_is_not_there_is_an_error_that_names_it() {
        let errors = Trial::minimal().flag("postgres.password_file=/no/such/file").errors();
        assert_eq!(errors.iter().count(), 1);
        assert!(errors.to_string().contains("/no/such/file"), "{errors}");
    }

    #[test]
    fn a_status_interval_may_be_a_third_of_the_servers_timeout_and_no_more() {
        let trial = |interval: &str| {
            Trial::minimal()
                .flag("postgres.wal_sender_timeout_ms=3000")
                .flag(&format!("postgres.status_interval_ms={interval}"))
        };
        trial("1000").load().expect("no error");
        let errors = trial("1001").errors();
        assert!(errors.to_string().contains("give at most 1000"), "{errors}");
    }

    #[test]
    fn a_first_wait_longer_than_the_longest_is_refused_whichever_was_given() {
        let errors = Trial::minimal().flag("postgres.reconnect_backoff_max_ms=999").errors();
        let shown = errors.to_string();
        assert!(shown.contains("1000 is more than 999"), "{shown}");
        assert!(shown.contains("--set postgres.reconnect_backoff_max_ms"), "{shown}");
        Trial::minimal()
            .flag("postgres.reconnect_backoff_max_ms=1000")
            .load()
            .expect("no error");
    }
}

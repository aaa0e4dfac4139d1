//! What one string says.

use super::*;
use crate::config::settings::{ChannelBindingMode, TargetSession, TlsMode, TlsVersion};

#[test]
fn both_forms_say_the_same_about_our_own_keys() {
    let (_file, root) = file("x");
    let parameters = format!(
        "sslmode=verify-ca&sslrootcert={root}&ssl_min_protocol_version=TLSv1.2&channel_binding=require\
         &target_session_attrs=any&application_name=billing&connect_timeout=7&passfile={root}&keepalives_idle=5"
    );
    let url = format!("postgresql://re%40lay:p%20w@db1:6543,db2:6544/sh%2Fop?{parameters}");
    let pairs = format!(
        "user=re@lay password='p w' host=db1,db2 port=6543,6544 dbname=sh/op {}",
        parameters.replace('&', " ")
    );
    for text in [url, pairs] {
        let postgres = postgres(with_url(&text));
        assert_eq!(hosts(&postgres), ["db1:6543", "db2:6544"]);
        assert_eq!(
            (postgres.user.as_str(), postgres.database.as_str()),
            ("re@lay", "sh/op")
        );
        assert_eq!(password(&postgres).as_deref(), Some("p w"));
        assert_eq!(postgres.tls.mode, TlsMode::VerifyCa);
        assert_eq!(postgres.tls.min_version, TlsVersion::V1_2);
        assert_eq!(
            postgres.tls.ca_file.map(|path| path.display().to_string()),
            Some(root.clone())
        );
        assert_eq!(postgres.channel_binding, ChannelBindingMode::Require);
        assert_eq!(postgres.target, TargetSession::Any);
        assert_eq!(postgres.application_name, "billing");
        assert_eq!(postgres.connect_timeout_ms, 7_000);
        assert_eq!(
            postgres.passfile.map(|path| path.display().to_string()),
            Some(root.clone())
        );
    }
}

#[test]
fn what_a_string_says_is_shown_with_its_place_and_no_secret() {
    let loaded = with_url("postgres://relay:hunter2@db1:6543/shop")
        .load()
        .expect("no error");
    let (value, source) = shown(&loaded, "postgres.host");
    assert_eq!(value.as_deref(), Some("db1"));
    assert!(
        source.starts_with("postgres.url (") && source.ends_with("relay.toml line 2)"),
        "{source}"
    );
    assert_eq!(shown(&loaded, "postgres.port").0.as_deref(), Some("6543"));
    for secret in ["postgres.password", "postgres.url"] {
        assert_eq!(shown(&loaded, secret).0.as_deref(), Some("***"));
    }
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn a_string_that_says_nothing_of_tls_gets_the_strictest() {
    let postgres = postgres(with_url("postgres://db1/shop"));
    assert_eq!(
        (postgres.tls.mode, postgres.tls.min_version),
        (TlsMode::VerifyFull, TlsVersion::V1_3)
    );
    assert_eq!(postgres.target, TargetSession::ReadWrite);
    assert_eq!(hosts(&postgres), ["db1:5432"]);
    assert_eq!(postgres.user, "outbox_relay");
}

#[test]
fn hosts_and_ports_belong_together_as_they_do_to_libpq() {
    for (text, expected) in [
        ("postgres://a:1,b:1/x", vec!["a:1", "b:1"]),
        ("postgres://a:1,b/x", vec!["a:1", "b:5432"]),
        ("postgres://[::1]:1,[::2]:2/x", vec!["::1:1", "::2:2"]),
        ("host=a,b port=7 dbname=x", vec!["a:7", "b:7"]),
        ("host=/run/pg,b port=7 dbname=x", vec!["/run/pg:7", "b:7"]),
        ("dbname=x port=7", vec!["localhost:7"]),
    ] {
        assert_eq!(hosts(&postgres(with_url(text))), expected, "{text}");
    }
    for wrong in [
        "host=a,b port=1,2,3 dbname=x",
        "port=1,2 dbname=x",
        "host=/run/pg,b port=1,2 dbname=x",
        "host=a,,b dbname=x",
        "host=a:5 dbname=x",
        "host=@abstract dbname=x",
        "postgres://a:0/x",
        "postgres://a:65536/x",
    ] {
        assert_eq!(with_url(wrong).errors().iter().count(), 1, "{wrong}");
    }
    // A port of a higher layer counts for the host of the string.
    assert_eq!(
        hosts(&postgres(with_url("postgres://a:1/x").flag("postgres.port=2"))),
        ["a:2"]
    );
}

#[test]
fn a_mode_that_falls_back_is_refused_with_the_reason() {
    for mode in ["prefer", "allow"] {
        for trial in [
            with_url(&format!("postgres://db1/shop?sslmode={mode}")),
            Trial::minimal().variable("PGSSLMODE", mode),
        ] {
            let errors = trial.errors().to_string();
            assert!(
                errors.contains(&format!("sslmode={mode}")) && errors.contains("plain text"),
                "{errors}"
            );
            assert!(errors.contains("choose sslmode from verify-full"), "{errors}");
        }
    }
}

/// As libpq does it; our own `require` says what it means.
#[test]
fn require_with_a_root_certificate_verifies_it() {
    let (_file, root) = file("x");
    let mode = |trial: Trial| postgres(trial).tls.mode;
    assert_eq!(
        mode(with_url(&format!("host=a dbname=x sslmode=require sslrootcert={root}"))),
        TlsMode::VerifyCa
    );
    let both = Trial::minimal().variable("PGSSLMODE", "require");
    assert_eq!(mode(both.variable("PGSSLROOTCERT", &root)), TlsMode::VerifyCa);
    let mixed = with_url("host=a dbname=x sslmode=require");
    assert_eq!(mode(mixed.env("POSTGRES__TLS_CA_FILE", &root)), TlsMode::VerifyCa);
    assert_eq!(mode(with_url("host=a dbname=x sslmode=require")), TlsMode::Require);
    let own = Trial::minimal().flag("postgres.tls_mode=require");
    assert_eq!(mode(own.variable("PGSSLROOTCERT", &root)), TlsMode::Require);
}

#[test]
fn the_systems_certificates_take_back_a_file_and_want_the_whole_name() {
    let (_file, root) = file("x");
    let above = Trial::minimal().and(&format!("postgres.tls_ca_file = '{root}'"));
    let postgres = postgres(above.env("POSTGRES__URL", "host=a dbname=x sslrootcert=system"));
    assert_eq!((postgres.tls.ca_file, postgres.tls.mode), (None, TlsMode::VerifyFull));
    let errors = with_url("host=a dbname=x sslrootcert=system sslmode=require").errors();
    assert!(errors.to_string().contains("sslmode=verify-full"), "{errors}");
}

#[test]
fn every_wrong_keyword_is_told_at_once_with_the_nearest_name_and_no_secret() {
    let errors = with_url("postgres://u:hunter2@h/x?sslmod=require&hunter2=1&host=b").errors();
    let shown = errors.to_string();
    assert_eq!(errors.iter().count(), 3, "{shown}");
    assert!(
        shown.contains("did you mean sslmode?") && shown.contains("says host twice"),
        "{shown}"
    );
    assert!(
        errors
            .iter()
            .all(|error| error.key == "postgres.url" && error.origin.ends_with("line 2")),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");

    let errors = with_url("host=a sslmode=prefer options=-cx connect_timeout=0 target_session_attrs=standby").errors();
    assert_eq!(errors.iter().count(), 4, "{errors}");
}

#[test]
fn what_is_no_connection_string_is_refused() {
    for text in ["mysql://u:hunter2@h/x", "jdbc:postgresql://h/x", "h", "postgres:/h"] {
        let errors = with_url(text).errors().to_string();
        assert!(
            errors.contains("postgres.url") && errors.contains("postgres://"),
            "{text}: {errors}"
        );
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_value_of_a_string_that_is_no_value_of_the_key_is_not_shown() {
    let errors = with_url("host=h dbname=x port=hunter2").errors().to_string();
    assert!(
        errors.contains("postgres.port (postgres.url (") && errors.contains("from 1 to 65535"),
        "{errors}"
    );
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn no_character_of_a_password_that_was_not_encoded_is_ever_shown() {
    for special in "@/?:#&=%,[] '\\\"\t;+".chars() {
        for text in [
            format!("postgres://u:12{special}ter2@h/x"),
            format!("postgres://u:hun{special}ter2@h:1/x?sslmode=disable"),
            format!("postgres://h/x?password=hun{special}ter2"),
            format!("host=h dbname=x password=hun{special}ter2"),
        ] {
            let trial = without_postgres().env("POSTGRES__URL", &text);
            let shown = match trial.load() {
                Ok(loaded) => format!("{loaded:?}"),
                Err(errors) => errors.to_string(),
            };
            assert!(!shown.contains("ter2"), "{text}: {shown}");
        }
    }
}

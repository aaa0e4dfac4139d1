//! Strings among keys and other strings.

use super::*;
use crate::config::settings::TlsMode;

#[test]
fn a_key_wins_over_a_string_below_it_and_a_string_over_a_key_below_it() {
    let string = "postgres://u:pw@db1:1/shop";
    let above = with_url(string)
        .env("POSTGRES__HOST", "db2")
        .flag("postgres.user=other");
    let postgres_above = postgres(above);
    assert_eq!(
        (hosts(&postgres_above), postgres_above.user),
        (vec!["db2:1".to_owned()], "other".to_owned())
    );

    let (_file, secret) = file("below");
    let below = Trial::minimal().and(&format!(
        "postgres.password_file = '{secret}'\npostgres.host = 'db2'\npostgres.slot = 's'"
    ));
    let postgres_below = postgres(below.env("POSTGRES__URL", string));
    assert_eq!(hosts(&postgres_below), ["db1:1"]);
    assert_eq!(password(&postgres_below).as_deref(), Some("pw"));
    assert_eq!(postgres_below.slot, "s");

    let file_above = with_url(string).env("POSTGRES__PASSWORD_FILE", &secret);
    assert_eq!(password(&postgres(file_above)).as_deref(), Some("below"));
}

#[test]
fn a_key_and_a_string_in_one_place_that_say_the_same_thing_are_refused_with_both_names() {
    let (_file, secret) = file("x");
    for (key, line) in [
        ("postgres.host", "postgres.host = 'db1'".to_owned()),
        ("postgres.password_file", format!("postgres.password_file = '{secret}'")),
    ] {
        let errors = with_url("postgres://u:hunter2@db1/shop").and(&line).errors();
        assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), [key]);
        let shown = errors.to_string();
        assert!(
            shown.contains("line 3") && shown.contains("beside postgres.url (") && shown.contains("line 2)"),
            "{shown}"
        );
    }
    let errors = with_url("postgres://db1/shop").and("postgres.url_file = '/x'").errors();
    assert!(
        errors.to_string().contains("is given beside postgres.url_file"),
        "{errors}"
    );
}

#[test]
fn of_two_strings_only_the_higher_one_counts_and_none_of_the_lower() {
    let (_file, path) = file("postgres://db2/other\n");
    let trial = with_url("postgres://u:hunter2@db1:1/shop?sslmode=disable").flag(&format!("postgres.url_file={path}"));
    let postgres = postgres(trial);
    assert_eq!(
        (hosts(&postgres), postgres.database.as_str()),
        (vec!["db2:5432".to_owned()], "other")
    );
    assert_eq!(
        (postgres.user.as_str(), postgres.tls.mode),
        ("outbox_relay", TlsMode::VerifyFull)
    );
    assert!(postgres.password.is_none());
}

#[test]
fn a_password_in_a_file_with_a_string_is_read_anew() {
    let (file, path) = file("postgres://u:old@db1/shop\n");
    let postgres = postgres(without_postgres().env("POSTGRES__URL_FILE", &path));
    assert_eq!(password(&postgres).as_deref(), Some("old"));
    std::fs::write(file.path(), "postgres://u:n%65w@db1/shop").expect("written");
    assert_eq!(password(&postgres).as_deref(), Some("new"));
    for broken in ["postgres://db1/shop", "postgres://u:hun/ter2@db1/shop"] {
        std::fs::write(file.path(), broken).expect("written");
        let error = postgres
            .password
            .as_ref()
            .expect("a password")
            .reveal()
            .expect_err(broken)
            .to_string();
        assert!(error.contains(&path) && !error.contains("ter2"), "{error}");
    }
}

#[test]
fn a_string_is_not_taken_from_a_flag() {
    let errors = without_postgres()
        .flag("postgres.url=postgres://u:hunter2@h/x")
        .errors()
        .to_string();
    assert!(
        errors.contains("postgres.url_file") && !errors.contains("hunter2"),
        "{errors}"
    );
}

#[test]
fn a_file_that_is_not_there_is_the_only_error() {
    let errors = without_postgres().flag("postgres.url_file=/no/such/file").errors();
    assert_eq!(
        errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
        ["postgres.url_file"],
        "{errors}"
    );
}

#[test]
fn without_files_a_string_in_one_is_not_looked_at_and_everything_else_is() {
    let trial = || {
        without_postgres()
            .flag("postgres.url_file=/no/such/file")
            .and("kafka.properties.sasl = {mechanism = 'PLAIN', username = 'u'}\nkafka.property_files.\"sasl.password\" = '/no/such'")
    };
    let settings = trial().load_without_files().unwrap_or_else(|errors| panic!("{errors}"));
    assert!(settings.is_none(), "what is in the file cannot be known");
    let errors = trial()
        .flag("postgres.port=0")
        .load_without_files()
        .expect_err("an error");
    assert_eq!(
        errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
        ["postgres.port"],
        "{errors}"
    );
    let all = Trial::minimal()
        .flag("postgres.password_file=/no/such/file")
        .flag("postgres.tls_ca_file=/no/such");
    assert!(all.load_without_files().expect("no error").is_some());
}

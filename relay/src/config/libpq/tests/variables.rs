//! libpq's variables.

use super::*;

#[test]
fn the_variables_of_libpq_are_enough() {
    let (_file, path) = file("x");
    let loaded = without_postgres()
        .variable("PGHOST", "db1,db2")
        .variable("PGPORT", "6543,6544")
        .variable("PGDATABASE", "shop")
        .variable("PGUSER", "u")
        .variable("PGPASSWORD", "hunter2")
        .variable("PGPASSFILE", &path)
        .variable("PGSSLMODE", "verify-ca")
        .variable("PGSSLROOTCERT", &path)
        .variable("PGSSLCERT", &path)
        .variable("PGSSLKEY", &path)
        .variable("PGSSLMINPROTOCOLVERSION", "tlsv1.2")
        .variable("PGCHANNELBINDING", "require")
        .variable("PGTARGETSESSIONATTRS", "primary")
        .variable("PGAPPNAME", "billing")
        .variable("PGCONNECT_TIMEOUT", "3")
        .variable("PGTZ", "UTC")
        .variable("PGOPTIONS", "-c x=y")
        .variable("PGGSSENCMODE", "prefer")
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        shown(&loaded, "postgres.host"),
        (Some("db1:6543,db2:6544".into()), "environment variable PGHOST".into())
    );
    let named = |path: &str| shown(&loaded, path).1;
    for (key, variable) in [
        ("database", "PGDATABASE"),
        ("user", "PGUSER"),
        ("password", "PGPASSWORD"),
        ("passfile", "PGPASSFILE"),
        ("tls_mode", "PGSSLMODE"),
        ("tls_ca_file", "PGSSLROOTCERT"),
        ("tls_certificate_file", "PGSSLCERT"),
        ("tls_key_file", "PGSSLKEY"),
        ("tls_min_version", "PGSSLMINPROTOCOLVERSION"),
        ("channel_binding", "PGCHANNELBINDING"),
        ("target_session_attrs", "PGTARGETSESSIONATTRS"),
        ("application_name", "PGAPPNAME"),
        ("connect_timeout_ms", "PGCONNECT_TIMEOUT"),
    ] {
        assert_eq!(
            named(&format!("postgres.{key}")),
            format!("environment variable {variable}")
        );
    }
    assert_eq!(shown(&loaded, "postgres.connect_timeout_ms").0.as_deref(), Some("3000"));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn what_is_given_in_any_other_way_wins_over_a_variable_of_libpq() {
    let (_file, path) = file("from a file");
    let ours = Trial::minimal()
        .and(&format!("postgres.password_file = '{path}'"))
        .flag("postgres.host=db1");
    let postgres = postgres(
        ours.variable("PGHOST", "a,b")
            .variable("PGPORT", "1,2")
            .variable("PGDATABASE", "other")
            .variable("PGPASSWORD", "x")
            .variable("PGPASSFILE", "/no/such/file")
            .variable("PGUSER", ""),
    );
    assert_eq!(
        (hosts(&postgres), postgres.database.as_str()),
        (vec!["db1:5432".to_owned()], "shop")
    );
    assert_eq!(password(&postgres).as_deref(), Some("from a file"));
    assert!(postgres.passfile.is_none());
    assert_eq!(postgres.user, "outbox_relay");
    let string = with_url("postgres://db1/shop")
        .variable("PGHOST", "a")
        .variable("PGUSER", "u")
        .load()
        .expect("no error");
    assert_eq!(string.settings.postgres.user, "u");
    assert_eq!(string.settings.postgres.hosts[0].name, "db1");
}

#[test]
fn a_variable_that_would_change_where_or_how_is_refused_by_name_unless_it_is_overruled() {
    for (variable, value) in [
        ("PGSERVICE", "shop"),
        ("PGHOSTADDR", "10.0.0.1"),
        ("PGSSLCRL", "/x"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGREQUIREPEER", "postgres"),
        ("PGSSLNEGOTIATION", "direct"),
        ("PGGSSENCMODE", "require"),
        ("PGLOADBALANCEHOSTS", "random"),
        ("PGSSLMODE", "prefer"),
        ("PGCONNECT_TIMEOUT", "0"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGPORT", "1,2"),
    ] {
        let errors = Trial::minimal().variable(variable, value).errors();
        assert_eq!(errors.iter().count(), 1, "{variable}: {errors}");
        assert!(
            errors.to_string().contains(&format!("environment variable {variable}")),
            "{errors}"
        );
    }
    let overruled = Trial::minimal()
        .and("postgres.host = 'db1'\npostgres.tls_mode = 'verify-full'")
        .variable("PGSERVICE", "shop")
        .variable("PGHOSTADDR", "10.0.0.1")
        .variable("PGSSLMODE", "prefer");
    overruled.load().unwrap_or_else(|errors| panic!("{errors}"));
}

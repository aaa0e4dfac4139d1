//! `config`: what is in force and who said so, without a secret; whether it is right; what there is.

use std::fs;
use std::path::Path;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::{Ended, program, run};

const SECRETS: [&str; 4] = ["file-secret", "kafka-secret", "environment-secret", "mounted-secret"];

/// One value from each layer, and secrets wherever they may be.
fn shown(arguments: &[&str]) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let (config, mounted) = (folder.path().join("relay.toml"), folder.path().join("mounted"));
    fs::write(&mounted, "mounted-secret")?;
    let mounted = mounted.display();
    let text = format!(
        "postgres.database = 'shop'\npostgres.host = 'db1'\npostgres.port = 1\npostgres.password = 'file-secret'\n\
         kafka.bootstrap_servers = 'kafka:9092'\nkafka.properties.'sasl.password' = 'kafka-secret'\n\
         kafka.properties.'sasl.mechanism' = 'PLAIN'\nkafka.properties.'sasl.username' = 'relay'\n\
         kafka.property_files.'ssl.keystore.password' = '{mounted}'\n"
    );
    fs::write(&config, text)?;
    let output = program()?
        .env("OUTBOX_RELAY_CONFIG", &config)
        .env("OUTBOX_RELAY_POSTGRES__PORT", "2")
        .env("OUTBOX_RELAY_POSTGRES__SLOT", "from_environment")
        .env("OUTBOX_RELAY_KAFKA__PROPERTIES__SSL_KEY_PASSWORD", "environment-secret")
        .args(["config", "--set", "postgres.port=3"])
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure(output.status.success(), || format!("{output:?}"))?;
    Ok(text.replace(&config.display().to_string(), "FILE"))
}

#[test]
fn every_value_is_shown_with_who_said_so_and_no_secret_is() -> Outcome {
    let table = shown(&[])?;
    let squeezed: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for line in [
        "postgres.port 3 --set postgres.port",
        "postgres.slot from_environment environment variable OUTBOX_RELAY_POSTGRES__SLOT",
        "postgres.connect_timeout_ms 10000 ms default",
        "kafka.properties.ssl.key.password *** environment variable OUTBOX_RELAY_KAFKA__PROPERTIES__SSL_KEY_PASSWORD",
    ] {
        ensure(squeezed.iter().any(|shown| shown == line), || {
            format!("{line:?} is not in:\n{table}")
        })?;
    }
    for start in [
        "postgres.host db1 FILE",
        "postgres.password *** FILE",
        "kafka.properties.sasl.password *** FILE",
    ] {
        ensure(squeezed.iter().any(|shown| shown.starts_with(start)), || {
            format!("{start:?} is not in:\n{table}")
        })?;
    }
    ensure(!SECRETS.iter().any(|secret| table.contains(secret)), || table.clone())
}

#[test]
fn the_json_holds_the_same_values_and_no_secret() -> Outcome {
    let json = shown(&["--json"])?;
    let values: Vec<serde_json::Value> = serde_json::from_str(&json)?;
    let find = |path: &str| values.iter().find(|value| value["path"] == path);
    let port = find("postgres.port").map(|port| (port["value"].clone(), port["source"].clone()));
    ensure(port == Some(("3".into(), "--set postgres.port".into())), || {
        format!("{port:?}")
    })?;
    let password = find("postgres.password").map(|password| password["value"].clone());
    ensure(password == Some("***".into()), || format!("{password:?}"))?;
    ensure(!SECRETS.iter().any(|secret| json.contains(secret)), || json.clone())
}

/// Runs `config` with a file.
fn config(text: &str, arguments: &[&str]) -> Outcome<Ended> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), text)?;
    run(file.path(), &[&["config"], arguments].concat())
}

/// As CI does it: no server, no mounted files, and the exit code says it.
#[test]
fn a_check_says_ok_or_everything_that_is_wrong_with_its_place() -> Outcome {
    let right = "postgres.database = 'shop'\nkafka.bootstrap_servers = 'kafka.invalid:9092'\n";
    let ended = config(right, &["check"])?;
    ended.must(0, &[])?;
    ensure(ended.output == "ok\n", || format!("{ended:?}"))?;

    let wrong =
        format!("{right}postgres.hosst = 'x'\nkafka.properties.'compresion.type' = 'lz4'\nlog.format = 'xml'\n");
    let said = [
        "3 errors",
        "line 3",
        "did you mean postgres.host?",
        "line 4",
        "did you mean compression.type?",
        "log.format",
        "line 5",
    ];
    config(&wrong, &["check"])?.must(78, &said)?;

    // Each property is right, and only librdkafka knows that they are not right together.
    let together = format!(
        "{right}kafka.properties.'ssl.ca.location' = '/no/such/ca.pem'\nkafka.properties.'security.protocol' = 'ssl'\n"
    );
    config(&together, &["check"])?.must(78, &["ssl.ca.location", "correct kafka.properties"])?;

    let mounted = format!("{right}postgres.password_file = '/run/secrets/nowhere'\n");
    config(&mounted, &["check"])?.must(78, &["postgres.password_file", "/run/secrets/nowhere"])?;
    config(&mounted, &["check", "--without-files"])?.must(0, &["ok", "not looked at"])?;
    config(&wrong, &["check", "--without-files"])?.must(78, &["3 errors"])
}

#[test]
fn what_is_printed_for_people_and_editors_is_what_the_repository_holds() -> Outcome {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (command, path) in [
        ("reference", "docs/CONFIGURATION.md"),
        ("schema", "docs/config.schema.json"),
        ("example", "deploy/outbox-relay.toml"),
    ] {
        // Whoever asks what there is may have nothing yet, or something wrong.
        let ended = config("wrong = 1", &[command])?;
        ended.must(0, &[])?;
        ensure(ended.output == fs::read_to_string(repository.join(path))?, || {
            format!("config {command} does not print {path}")
        })?;
    }
    config(
        &fs::read_to_string(repository.join("deploy/outbox-relay.toml"))?,
        &["show"],
    )?
    .must(0, &["postgres.database"])
}

//! Mistakes in the configuration and on the command line end the program before it does anything.

use outbox_relay_tests::failure::Outcome;
use outbox_relay_tests::program::{Ended, exit_code, run};

fn run_with(config: &str, arguments: &[&str]) -> Outcome<Ended> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), config)?;
    run(file.path(), arguments)
}

#[test]
fn every_mistake_in_the_configuration_is_told_at_once_with_its_place_and_the_nearest_name() -> Outcome {
    let config = "postgres.database = 'shop'\npostgres.hosst = 'db1'\npostgres.port = 70000\n\
                  kafka.bootstrap_servers = 'kafka'\nkafka.properties.acks = '1'\n";
    let said = [
        "4 errors",
        "postgres.hosst",
        "postgres.host",
        "postgres.port",
        "70000",
        "kafka.bootstrap_servers",
        "host:port",
        "kafka.properties.acks",
    ];
    run_with(config, &["run"])?.must_refuse("configuration_wrong", &said)
}

#[test]
fn a_missing_required_key_is_told_with_the_way_to_set_it() -> Outcome {
    run_with("", &["run"])?.must_refuse(
        "configuration_wrong",
        &["postgres.database", "kafka.bootstrap_servers", "To do"],
    )
}

#[test]
fn a_password_file_that_is_not_there_is_a_mistake_in_the_configuration() -> Outcome {
    let config = "postgres.database = 'shop'\nkafka.bootstrap_servers = 'kafka:9092'\n\
                  postgres.password_file = '/no/such/file'\n";
    run_with(config, &["run"])?.must_refuse("configuration_wrong", &["postgres.password_file", "/no/such/file"])
}

#[test]
fn a_wrong_flag_and_a_wrong_command_end_with_the_usage_code() -> Outcome {
    let usage = exit_code("command_line_wrong")?;
    run_with("", &["run", "--nope"])?.must(usage, &["--nope"])?;
    run_with("", &["rum"])?.must(usage, &["rum", "run"])
}

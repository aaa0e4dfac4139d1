//! A password that is missing or wrong: each command names the key or the flag to give it by.

use std::fs;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::stack::free_port;

use super::{PROMISES, printed};

const FILE_KEY: &str = "postgres.password_file";

/// Runs a command that cannot log in.
fn refused(scenario: &Scenario, arguments: &[&str], code: &str, said: &[&str]) -> Outcome {
    let ended = scenario.command(arguments)?;
    ended.must_refuse(code, said)?;
    ended.must_not_say(&PROMISES)?;
    ended.must_not_say(&["check postgres.host"])
}

#[test]
fn a_password_that_is_not_configured_is_asked_for_by_its_key() -> Outcome {
    let mut scenario = Setup::new("unset").without_slot().start()?;
    scenario.settings.remove(FILE_KEY);
    let name = scenario.name().to_owned();
    for command in ["create", "show", "drop", "forget"] {
        refused(
            &scenario,
            &["slot", command],
            "password_missing",
            &[&name, "no password", "set postgres.password_file"],
        )?;
    }
    refused(
        &scenario,
        &["migrate"],
        "password_missing",
        &["set postgres.password_file", "--user ROLE --password-file FILE"],
    )
}

#[test]
fn a_password_that_is_missing_for_the_user_of_migrate_is_asked_for_by_its_flag() -> Outcome {
    let scenario = Setup::new("unset_flag").without_migration().start()?;
    let said = ["role postgres", "no password", "--password-file FILE"];
    refused(&scenario, &["migrate", "--user", "postgres"], "password_missing", &said)
}

#[test]
fn a_wrong_password_of_migrate_names_the_flags_and_not_the_relays_keys() -> Outcome {
    let scenario = Setup::new("wrong_flag").without_migration().start()?;
    let file = scenario.file("wrong");
    fs::write(&file, "wrong")?;
    let file = file.display().to_string();
    let arguments = ["migrate", "--user", "postgres", "--password-file", &file];
    refused(
        &scenario,
        &arguments,
        "login_refused",
        &["28P01", "check --user", "--password-file"],
    )?;
    scenario.command(&arguments)?.must_not_say(&["postgres.user", FILE_KEY])
}

#[test]
fn a_password_file_of_migrate_that_is_not_there_is_told_by_its_flag() -> Outcome {
    let scenario = Setup::new("no_flag_file").without_migration().start()?;
    let arguments = ["migrate", "--user", "postgres", "--password-file", "/no/such/file"];
    let said = ["/no/such/file", "name a file with --password-file"];
    refused(&scenario, &arguments, "postgres_password_unreadable", &said)?;
    scenario.command(&arguments)?.must_not_say(&["for the relay"])
}

#[test]
fn a_wrong_password_of_the_relays_role_says_what_makes_the_role_and_its_password() -> Outcome {
    let scenario = Setup::new("wrong_key").without_migration().start()?;
    let said = ["28P01", FILE_KEY, "outbox-relay migrate --user OWNER --set-password"];
    // The role is not there yet; a server says of that what it says of a wrong password.
    refused(&scenario, &["slot", "create"], "postgres_authentication_failed", &said)?;
    scenario.migrate()?;
    fs::write(scenario.file("password"), "wrong")?;
    refused(&scenario, &["slot", "create"], "postgres_authentication_failed", &said)?;
    refused(&scenario, &["migrate"], "postgres_authentication_failed", &said)
}

#[test]
fn a_password_to_set_that_is_not_configured_is_missed_before_anything_is_changed() -> Outcome {
    let mut scenario = Setup::new("nothing_to_set").without_migration().start()?;
    scenario.settings.remove(FILE_KEY);
    let ended = super::migrate(&scenario, &["--set-password"])?;
    ended.must_refuse("password_missing", &["--set-password", "set postgres.password_file"])?;
    let schema = "SELECT nspname::text FROM pg_namespace WHERE nspname = 'outbox_relay'";
    let made = scenario.database()?.text(schema, &[])?;
    ensure(made.is_none(), || format!("{made:?} was made"))?;
    let ended = scenario.command(&["migrate", "--print", "--set-password"])?;
    ended.must_refuse("password_missing", &["set postgres.password_file"])?;
    printed(&scenario, &[]).map(drop)
}

#[test]
fn a_server_that_is_not_there_is_told_without_the_promise_to_try_again() -> Outcome {
    let mut scenario = Setup::new("no_server").without_slot().start()?;
    scenario.settings.set("postgres.port", free_port()?);
    let ended = scenario.command(&["slot", "show"])?;
    ended.must_refuse("postgres_unreachable", &["check postgres.host"])?;
    ended.must_not_say(&PROMISES)
}

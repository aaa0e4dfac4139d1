//! What operators, auditors and the janitor do: dead letters, pauses, skips and the audit trail, on a database whose letters
//! were written as the relay writes them.

mod administration;
mod audit;
mod confirmation;
mod discard;
mod heads;
mod letters;
mod listing;
mod pauses;
mod redrive;
mod refusals;
mod relay;

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::program::Ended;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

/// Every role of a scenario has the password of the relay's.
const PASSWORD: &str = "not a secret";

/// A migrated database in which operator, auditor and janitor can log in.
fn migrated(label: &str) -> Outcome<Scenario> {
    let scenario = Setup::new(label).without_topic().without_slot().start()?;
    admit(&scenario)?;
    Ok(scenario)
}

fn admit(scenario: &Scenario) -> Outcome {
    let name = scenario.name();
    for role in ["operator", "auditor", "janitor"] {
        scenario
            .database()?
            .run(&format!("ALTER ROLE {name}_{role} LOGIN PASSWORD '{PASSWORD}'"))?;
    }
    Ok(())
}

/// Runs a command as the scenario's `operator`, `auditor` or `janitor`.
fn as_role(scenario: &Scenario, role: &str, arguments: &[&str]) -> Outcome<Ended> {
    let (user, file) = (
        format!("{}_{role}", scenario.name()),
        scenario.file("password").display().to_string(),
    );
    scenario.command(&[arguments, &["--user", &user, "--password-file", &file]].concat())
}

fn operate(scenario: &Scenario, arguments: &[&str]) -> Outcome<Ended> {
    as_role(scenario, "operator", arguments)
}

/// The letters in the order of their positions, as `event state`.
fn states(scenario: &Scenario) -> Outcome<String> {
    let states = "SELECT string_agg(format('%s %s', idempotency_key, state), ', ' ORDER BY commit_lsn, ordinal)
         FROM outbox_relay.dead_letters";
    Ok(scenario.database()?.text(states, &[])?.unwrap_or_default())
}

#[track_caller]
fn states_are(scenario: &Scenario, expected: &str) -> Outcome {
    let states = states(scenario)?;
    ensure(states == expected, || format!("{states}\n  instead of {expected}"))
}

/// The newest row of the audit trail: action, resource, why and result.
fn noted(scenario: &Scenario) -> Outcome<String> {
    let newest =
        "SELECT concat_ws(' | ', action, resource, why, result) FROM outbox_relay.audit ORDER BY seq DESC LIMIT 1";
    Ok(scenario.database()?.text(newest, &[])?.unwrap_or_default())
}

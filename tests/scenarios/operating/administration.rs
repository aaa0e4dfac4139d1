//! What administration commands leave in the audit trail.

use outbox_relay_tests::failure::{Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

use super::{as_role, noted};

fn newest_is(scenario: &Scenario, expected: &str) -> Outcome {
    let newest = noted(scenario)?;
    ensure(newest.starts_with(expected), || {
        format!("{newest}\n  instead of {expected}")
    })
}

#[test]
fn a_migration_and_what_is_done_with_the_slot_are_noted() -> Outcome {
    let scenario = Setup::new("noted").without_topic().without_slot().start()?;
    super::admit(&scenario)?;
    let name = scenario.name();
    newest_is(
        &scenario,
        &format!("migrate | database {name} | applied V1__relay_schema"),
    )?;
    scenario.migrate()?;
    newest_is(&scenario, &format!("migrate | database {name} | nothing new"))?;

    let why = ["--reason", "a new shop", "--actor", "jo"];
    let slot = |command: &[&str]| scenario.command(&[&["slot"], command, &why].concat());
    slot(&["create"])?.must(0, &["starts at", "audit: 3:"])?;
    newest_is(
        &scenario,
        &format!("slot.create | slot {name} | a new shop | starts at "),
    )?;
    let remember = format!("INSERT INTO outbox_relay.advisory VALUES ('{name}', '1', 1, '0/1', true, now())");
    scenario.database()?.run(&remember)?;
    slot(&["forget"])?.must(0, &["forgotten", "audit: 4:"])?;
    newest_is(
        &scenario,
        &format!("slot.forget | slot {name} | a new shop | forgotten"),
    )?;
    slot(&["drop", "--yes"])?.must(0, &["is dropped", "audit: 5:"])?;
    newest_is(&scenario, &format!("slot.drop | slot {name} | a new shop | dropped"))?;
    // What was not done is not noted.
    slot(&["drop", "--yes"])?.must(0, &["does not exist"])?;
    slot(&["show"])?.must_refuse("slot_missing", &[])?;
    newest_is(&scenario, "slot.drop")?;
    as_role(&scenario, "auditor", &["audit", "verify"])?.must(0, &["rows:   5"])
}

#[test]
fn a_command_that_cannot_note_what_it_did_says_so_and_has_done_it() -> Outcome {
    let scenario = Setup::new("not_noted").without_topic().without_slot().start()?;
    let take = format!(
        "REVOKE ALL ON FUNCTION outbox_relay.audit_append(text, text, text, text, text, jsonb) FROM {}",
        scenario.name()
    );
    scenario.database()?.run(&take)?;
    let ended = scenario.command(&["slot", "create"])?;
    ended.must(
        0,
        &[
            "starts at",
            "slot.create",
            "is not noted",
            "42501",
            "`outbox-relay migrate`",
        ],
    )?;
    scenario.confirmed().map(drop)
}

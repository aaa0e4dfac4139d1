//! Who can do what, tried as each role; SECURITY.md holds what came of it.

mod deeds;
mod events;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;

use self::deeds::{DEEDS, Deed};
use crate::privileges::{NOT_PERMITTED, NOTHING_FOR_EVERYBODY};

const PASSWORD: &str = "not a secret";
const ROLES: [(&str, &str); 5] = [
    ("r", "relay"),
    ("a", "application"),
    ("o", "operator"),
    ("u", "auditor"),
    ("j", "janitor"),
];
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../SECURITY.md");
const BEGIN: &str = "<!-- Written by the test `role_matrix`: BLESS=1 renews it. -->\n";
const END: &str = "<!-- The end of what the test writes. -->";

#[test]
fn each_role_can_do_its_own_work_and_none_of_the_others() -> Outcome {
    let scenario = Setup::new("roles")
        .set("outbox.default.delivery_state", true)
        .sql(NOTHING_FOR_EVERYBODY)
        .without_slot()
        .start()?;
    let sessions = ROLES.iter().map(|(_, role)| log_in(&scenario, role));
    let sessions = sessions.collect::<Outcome<Vec<_>>>()?;
    let mut matrix = String::new();
    for (subject, deeds) in DEEDS {
        matrix.push_str(&head(subject));
        for deed in deeds {
            let _ = write!(matrix, "| {} |", deed.what);
            for ((letter, role), session) in ROLES.iter().zip(&sessions) {
                let can = can(session, deed, scenario.name(), role)?;
                ensure(can == deed.of.contains(letter), || {
                    format!("{role} {} {}", if can { "can" } else { "cannot" }, deed.what)
                })?;
                matrix.push_str(if can { " yes |" } else { " · |" });
            }
            matrix.push('\n');
        }
    }
    is_on_the_page(&matrix)
}

/// As a member would: all roles but the relay's are for others to be members of, and cannot log in.
fn log_in(scenario: &Scenario, role: &str) -> Outcome<Database> {
    let name = scenario.name();
    let role = match role {
        "relay" => name.to_owned(),
        role => format!("{name}_{role}"),
    };
    let postgres = scenario.servers.postgres()?;
    let conninfo = format!(
        "host=127.0.0.1 port={} dbname={name} user={role} password='{PASSWORD}'",
        postgres.port
    );
    if role != name {
        let alone = Database::connect(&conninfo).err();
        ensure(alone.is_some(), || format!("{role} can log in"))?;
        let admit =
            format!("ALTER ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT CONNECT ON DATABASE {name} TO {role}");
        scenario.database()?.run(&admit)?;
    }
    Database::connect(&conninfo)
}

/// Whether all of its statements are permitted, or none; nothing of them stays.
fn can(session: &Database, deed: &Deed, name: &str, role: &str) -> Outcome<bool> {
    let mut permitted = Vec::new();
    for statement in deed.statements {
        let statement = statement.replace("{name}", name);
        let refused = session.attempt(&format!("BEGIN; {statement}"))?;
        session.run("ROLLBACK")?;
        match refused.as_deref() {
            None => permitted.push(true),
            Some(NOT_PERMITTED) => permitted.push(false),
            // Let in, and told why not by the function itself.
            Some(ours) if ours.starts_with("OR") => permitted.push(true),
            Some(other) => return Err(Failure::new(format!("{role}: {statement}: {other}"))),
        }
    }
    let can = permitted.iter().all(|&is| is);
    ensure(can || !permitted.contains(&true), || {
        format!("{role} can do a part of: {deed:?}: {permitted:?}")
    })?;
    Ok(can)
}

fn head(subject: &str) -> String {
    let roles = ROLES.map(|(_, role)| format!(" {role} |")).concat();
    format!("\n| **{subject}** |{roles}\n| --- |{}\n", " --- |".repeat(ROLES.len()))
}

fn is_on_the_page(matrix: &str) -> Outcome {
    let page = fs::read_to_string(PAGE)?;
    let between = || {
        let (before, rest) = page.split_once(BEGIN)?;
        let (written, after) = rest.split_once(END)?;
        Some((before, written, after))
    };
    let (before, written, after) = between().ok_or_else(|| Failure::new("SECURITY.md lacks the marks".to_owned()))?;
    let matrix = format!("{matrix}\n");
    if std::env::var_os("BLESS").is_some() {
        fs::write(Path::new(PAGE), format!("{before}{BEGIN}{matrix}{END}{after}"))?;
        return Ok(());
    }
    ensure(written == matrix, || {
        format!("SECURITY.md is not as the roles are; BLESS=1 renews it:\n{matrix}")
    })
}

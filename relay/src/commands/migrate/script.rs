//! `outbox-relay migrate --print`: the same as a script, for people who review SQL and run it themselves.
//!
//! It notes the applied versions where `migrate` looks for them, so that both can be used in any order.

use std::fmt::Write;

use postgres_protocol::escape::escape_literal;
use refinery::Migration;

use super::{HISTORY, SCHEMA, TRANSACTION_LOCK, embedded, statements};
use crate::config::Settings;

const HEAD: &str = "\
-- What `outbox-relay migrate` does, as SQL. Run it in the database of the outbox tables, as the owner of both, able to
-- create roles with REPLICATION: before PostgreSQL 16 a superuser, from then on CREATEROLE and REPLICATION are enough.
-- psql --set ON_ERROR_STOP=1 --dbname DATABASE --file FILE. It can be run again at any time.
";
const VERIFIER: &str = "\
-- The verifier of the configured password: whoever reads it cannot log in with it, but can try guesses.
";
const NO_PASSWORD: &str = "\
-- No password is set here: print again with --set-password for the configured one.
";

const NOTED: &str = "\
-- For the audit trail; who runs this is noted by the role.
SELECT seq, head FROM outbox_relay.audit_append('administration', 'migrate', 'database ' || current_database(), NULL,
    'by the printed script', '{}');";

/// The whole of it; `password` is the statement that sets the password of the relay's role.
pub(super) fn script(settings: &Settings, password: Option<&str>) -> String {
    let mut script = format!("{HEAD}\nBEGIN;\n\n{TRANSACTION_LOCK};\n{SCHEMA};\n\n{};\n", history());
    for migration in &in_order() {
        script.push_str(&versioned(migration));
    }
    script.push_str("\n-- What the configuration asks for.\n");
    for statement in statements(settings) {
        let _ = writeln!(script, "{statement};");
    }
    let _ = writeln!(script, "\n{NOTED}");
    match password {
        Some(statement) => {
            let _ = writeln!(script, "\n{VERIFIER}{statement};");
        }
        None => {
            let _ = write!(script, "\n{NO_PASSWORD}");
        }
    }
    script.push_str("\nCOMMIT;\n");
    script
}

/// By number: the library has them by name, where 10 comes before 2.
fn in_order() -> Vec<Migration> {
    let mut migrations = embedded::migrations::runner().get_migrations().clone();
    migrations.sort_unstable_by_key(Migration::version);
    migrations
}

/// As the library makes it.
fn history() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {HISTORY} (\n    version    int4 PRIMARY KEY,\n    name       varchar(255),\n    \
         applied_on varchar(255),\n    checksum   varchar(255)\n)"
    )
}

/// One migration, run and noted unless it was before. As the library does, it refuses one that was another then.
fn versioned(migration: &Migration) -> String {
    let (version, name, checksum) = (migration.version(), migration.name(), migration.checksum());
    let name = escape_literal(name);
    let sql = migration.sql().unwrap_or_default().trim_end();
    format!(
        r#"
DO $outbox_relay$
DECLARE
    applied text := (SELECT checksum FROM {HISTORY} WHERE version = {version});
BEGIN
IF applied <> '{checksum}' THEN
    RAISE EXCEPTION 'migration {version} was applied by another build of outbox-relay, and with another content';
ELSIF applied IS NULL THEN
EXECUTE $migration$

{sql}

$migration$;
INSERT INTO {HISTORY} (version, name, applied_on, checksum)
VALUES ({version}, {name}, to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '{checksum}');
END IF;
END
$outbox_relay$;
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text between the tags is taken as it is, so it must not hold one.
    #[test]
    fn no_migration_ends_its_own_quotes() {
        for migration in embedded::migrations::runner().get_migrations() {
            let sql = migration.sql().unwrap_or_default();
            assert!(
                !sql.contains("$migration$") && !sql.contains("$outbox_relay$"),
                "{migration}"
            );
        }
    }
}

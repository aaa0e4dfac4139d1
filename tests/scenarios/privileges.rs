//! What each role of `migrate` may: all of docs/ROLES.md, and nothing else.

use std::collections::BTreeSet;

use outbox_relay::fault::FaultCode;
use outbox_relay_tests::database::Database;
use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::relay::Relay;
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::writer::Writer;

const PAGE: &str = include_str!("../../docs/ROLES.md");
pub(crate) const NOT_PERMITTED: &str = "42501";

/// As hardened servers have it: nobody may anything just because he is there.
pub(crate) const NOTHING_FOR_EVERYBODY: &str = "REVOKE ALL ON SCHEMA public FROM PUBLIC;
    DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()); END $$";

/// One right, as the page lists it and as GRANT spells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    role: String,
    right: String,
    object: String,
    without: String,
}

impl Right {
    fn is_attribute(&self) -> bool {
        self.object == "the server"
    }

    fn take(&self) -> String {
        let Self {
            role, right, object, ..
        } = self;
        if self.is_attribute() {
            format!("ALTER ROLE {role} NO{right}")
        } else {
            format!("REVOKE {right} ON {object} FROM {role}")
        }
    }

    fn give(&self) -> String {
        let Self {
            role, right, object, ..
        } = self;
        if self.is_attribute() {
            format!("ALTER ROLE {role} {right}")
        } else {
            format!("GRANT {right} ON {object} TO {role}")
        }
    }

    /// As the catalogs have it: there a column is an object of its own.
    fn line(&self) -> String {
        let Self {
            role, right, object, ..
        } = self;
        match right.trim_end_matches(')').split_once(" (") {
            Some((right, column)) => format!("{role}: {right} ON column {column} of {object}"),
            None => format!("{role}: {right} ON {object}"),
        }
    }

    /// The right to several columns is one to each.
    fn for_each_column(self) -> Vec<Right> {
        let Some((right, columns)) = self.right.trim_end_matches(')').split_once(" (") else {
            return vec![self];
        };
        let each = columns.split(", ").map(|column| Right {
            right: format!("{right} ({column})"),
            ..self.clone()
        });
        each.collect()
    }
}

/// The page's table, with the scenario's names.
fn listed(name: &str) -> Vec<Right> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `outbox_"));
    let rights = rows.filter_map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().replace('`', ""));
        let (role, right, object, without) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        Some(Right {
            role: if role == "relay" {
                name.to_owned()
            } else {
                format!("{name}_{role}")
            },
            right,
            object: object.replace("database shop", &format!("database {name}")),
            without,
        })
    });
    rights.flat_map(Right::for_each_column).collect()
}

/// Everything that the catalogs say of the roles: attributes, memberships, what they own, each entry of every access list
/// in every database, and settings.
const HELD: &str = "
    WITH roles AS (SELECT * FROM pg_roles WHERE starts_with(rolname, $1)),
    listed AS (
        SELECT rolname, pg_describe_object(classid, objid, objsubid) AS object, deptype,
            CASE classid
                WHEN 'pg_class'::regclass THEN CASE objsubid
                    WHEN 0 THEN (SELECT relacl FROM pg_class c WHERE c.oid = objid)
                    ELSE (SELECT attacl FROM pg_attribute WHERE attrelid = objid AND attnum = objsubid) END
                WHEN 'pg_namespace'::regclass THEN (SELECT nspacl FROM pg_namespace n WHERE n.oid = objid)
                WHEN 'pg_database'::regclass THEN (SELECT datacl FROM pg_database d WHERE d.oid = objid)
                WHEN 'pg_proc'::regclass THEN (SELECT proacl FROM pg_proc p WHERE p.oid = objid)
            END AS acl, roles.oid AS role
        FROM roles JOIN pg_shdepend ON refclassid = 'pg_authid'::regclass AND refobjid = roles.oid
        WHERE dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    ), held AS (
        SELECT rolname, coalesce(privilege_type, 'deptype ' || deptype::text) || CASE WHEN is_grantable THEN ' GRANTABLE' ELSE '' END
            AS what, object
        FROM listed LEFT JOIN LATERAL aclexplode(acl) AS entry ON entry.grantee = listed.role
        UNION ALL SELECT rolname, 'SOMETHING', 'another database' FROM roles JOIN pg_shdepend ON refobjid = roles.oid
            WHERE dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        UNION ALL SELECT rolname, attribute, 'the server' FROM roles, LATERAL (VALUES ('LOGIN', rolcanlogin),
            ('REPLICATION', rolreplication), ('SUPERUSER', rolsuper), ('CREATEDB', rolcreatedb),
            ('CREATEROLE', rolcreaterole), ('BYPASSRLS', rolbypassrls)) AS a (attribute, is_set) WHERE is_set
        UNION ALL SELECT rolname, 'MEMBER', roleid::regrole::text FROM roles JOIN pg_auth_members ON member = roles.oid
        UNION ALL SELECT rolname, 'SETTING', array_to_string(setconfig, ',')
            FROM roles JOIN pg_db_role_setting ON setrole = roles.oid
    )
    SELECT format('%s: %s ON %s', rolname, what, object) FROM held";

fn held(scenario: &Scenario) -> Outcome<BTreeSet<String>> {
    let database = scenario.database()?;
    // So that every name is told with its schema.
    database.run("SET search_path = ''")?;
    let rows = database.rows(HELD, &[&scenario.name()])?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

#[test]
fn the_roles_have_what_the_page_lists_and_nothing_else() -> Outcome {
    let scenario = Setup::new("rights").without_slot().start()?;
    let listed: BTreeSet<String> = listed(scenario.name()).iter().map(Right::line).collect();
    let held = held(&scenario)?;
    ensure(listed == held, || {
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        format!(
            "only on the page: {:?}; only held: {:?}",
            only(&listed, &held),
            only(&held, &listed)
        )
    })
}

/// Each right that is taken away stops the relay with a name, and given back it lets it go on.
#[test]
fn the_relay_needs_each_of_its_rights_and_no_other() -> Outcome {
    let mut scenario = Setup::new("least").sql(NOTHING_FOR_EVERYBODY).start()?;
    let rights = listed(scenario.name());
    let of_relay = || rights.iter().filter(|right| right.role == scenario.name());
    let of_run: Vec<_> = of_relay()
        .filter(|right| FaultCode::find(&right.without).is_some())
        .collect();
    let is_of_command = |right: &&Right| right.without.starts_with("slot ") || right.without.starts_with("recover ");
    let of_commands: Vec<_> = of_relay().filter(is_of_command).collect();
    ensure(of_run.len() == 7 && of_commands.len() == 6, || format!("{rights:?}"))?;
    let database = scenario.database()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    let mut relay = scenario.streaming_relay()?;
    relay.may_show("postgres_unreachable");
    for right in of_run {
        writer.write(2)?;
        database.run(&right.take())?;
        cut(&database, scenario.name())?;
        halts(&mut relay, right)?;
        writer.write(2)?;
        database.run(&right.give())?;
        relay.wait_for_phase("streaming")?;
    }
    scenario.wait_until_confirmed()?;
    ensure(relay.terminate()? == Some(0), || relay.log_tail())?;
    for right in of_commands {
        let password_file = scenario.file("superuser").display().to_string();
        let recover = [
            "recover",
            "--keep-slot",
            "--since",
            "2000-01-01",
            "--yes",
            "--reason",
            "why",
        ];
        let recover = [
            &recover,
            ["--user", "postgres", "--password-file", &password_file].as_slice(),
        ]
        .concat();
        let (command, done) = if right.without.starts_with("slot ") {
            (vec!["slot", "forget"], "relay on slot")
        } else {
            (recover, "audit: ")
        };
        database.run(&right.take())?;
        let refused = scenario.command(&command)?;
        refused.must(1, &[NOT_PERMITTED, "outbox-relay migrate"])?;
        database.run(&right.give())?;
        scenario.command(&command)?.must(0, &[done])?;
    }
    let relay = scenario.streaming_relay()?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 28 && report.duplicates == 0, || report.to_string())
}

fn cut(database: &Database, role: &str) -> Outcome {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    database.rows(cut, &[&role]).map(drop)
}

fn halts(relay: &mut Relay, right: &Right) -> Outcome {
    let halted = relay.wait_for_fault(&right.without);
    let readiness = halted.map_err(|failure| Failure::new(format!("without {}: {failure}", right.line())))?;
    ensure(readiness.phase() == "halted" && relay.liveness()? == 200, || {
        format!("without {}: {readiness:?}", right.line())
    })
}

//! `migrate`: once, again, as a script, and as somebody who may not.

use std::thread;

use outbox_relay_tests::failure::{Failure, Outcome, ensure};
use outbox_relay_tests::program::{Ended, run};
use outbox_relay_tests::scenario::Scenario;
use outbox_relay_tests::setup::Setup;
use outbox_relay_tests::wait::wait_for;
use outbox_relay_tests::writer::Writer;

use super::{PROMISES, dump, migrate, printed, psql};

/// The versions that are noted, with their checksums.
fn versions(scenario: &Scenario) -> Outcome<Option<String>> {
    let noted = "SELECT string_agg(concat_ws(' ', version, name, checksum), ', ' ORDER BY version)
                 FROM outbox_relay.migrations";
    scenario.database()?.text(noted, &[])
}

fn same(before: &str, after: &str) -> Outcome {
    ensure(before == after, || {
        let only = |here: &str, there: &str| {
            let lines = here.lines().filter(|line| !there.lines().any(|other| other == *line));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        format!("gone: {:?}, new: {:?}", only(before, after), only(after, before))
    })
}

#[test]
fn the_printed_sql_and_migrate_work_in_any_order_and_a_relay_publishes_from_the_result() -> Outcome {
    let mut scenario = Setup::new("printed").without_migration().start()?;
    let script = printed(&scenario, &["--set-password"])?;
    psql(&scenario, &script)?.must(0, &[])?;
    let (first, noted) = (dump(&scenario)?, versions(&scenario)?);
    let after_script = migrate(&scenario, &[])?;
    after_script.must(0, &[])?;
    after_script.must_not_say(&["applied"])?;
    psql(&scenario, &printed(&scenario, &[])?)?.must(0, &[])?;
    same(&first, &dump(&scenario)?)?;
    ensure(versions(&scenario)? == noted, || format!("{noted:?} was changed"))?;

    scenario.create_slot()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    let report = scenario.verify(&relay, &writer.into_history())?;
    ensure(report.rows == 10, || report.to_string())
}

#[test]
fn the_printed_sql_makes_the_same_database_as_migrate() -> Outcome {
    let by_script = Setup::new("by_script").without_migration().start()?;
    let by_migrate = Setup::new("by_migrate").without_migration().start()?;
    psql(&by_script, &printed(&by_script, &[])?)?.must(0, &[])?;
    migrate(&by_migrate, &[])?.must(0, &["applied V1", "applied V2"])?;
    same(&dump(&by_migrate)?, &dump(&by_script)?)?;
    let (script, command) = (versions(&by_script)?, versions(&by_migrate)?);
    ensure(script.is_some() && script == command, || {
        format!("noted by the script {script:?}, by migrate {command:?}")
    })
}

#[test]
fn the_printed_sql_holds_a_verifier_and_never_the_password() -> Outcome {
    let scenario = Setup::new("verifier").without_migration().start()?;
    let without = printed(&scenario, &[])?;
    ensure(
        !without.contains("ALTER ROLE \"") && without.contains("--set-password"),
        || without.clone(),
    )?;
    let with = printed(&scenario, &["--set-password"])?;
    let sets = format!("ALTER ROLE \"{}\" PASSWORD 'SCRAM-SHA-256$", scenario.name());
    ensure(with.contains(&sets) && !with.contains("not a secret"), || with.clone())
}

#[test]
fn a_migration_that_is_repeated_changes_nothing() -> Outcome {
    let scenario = Setup::new("again").without_slot().start()?;
    let (first, noted) = (dump(&scenario)?, versions(&scenario)?);
    let again = migrate(&scenario, &["--set-password"])?;
    again.must(0, &["are as configured", "outbox-relay slot create"])?;
    again.must_not_say(&["applied"])?;
    same(&first, &dump(&scenario)?)?;
    ensure(versions(&scenario)? == noted, || format!("{noted:?} was changed"))
}

#[test]
fn a_version_that_had_another_content_is_refused_by_migrate_and_by_the_printed_sql() -> Outcome {
    let scenario = Setup::new("divergent").without_slot().start()?;
    let other = "UPDATE outbox_relay.migrations SET checksum = '1' WHERE version = 2";
    scenario.database()?.run(other)?;
    migrate(&scenario, &[])?.must_refuse("migration_refused", &["V2__ensure_functions"])?;
    psql(&scenario, &printed(&scenario, &[])?)?.must(3, &["migration 2", "another content"])
}

#[test]
fn migrate_says_how_the_relays_role_gets_its_password() -> Outcome {
    let scenario = Setup::new("no_password").without_migration().start()?;
    let name = scenario.name().to_owned();
    migrate(&scenario, &[])?.must(0, &[&format!("{name} has no password"), "--set-password"])?;
    migrate(&scenario, &["--set-password"])?.must(0, &[&format!("{name} has the configured password")])?;
    migrate(&scenario, &[])?.must(0, &[&format!("{name} keeps the password")])
}

/// Runs `migrate` as the operators' role, which is made before; the scenario removes it.
fn as_somebody(scenario: &Scenario, attributes: &str) -> Outcome<Ended> {
    let role = format!("{}_operator", scenario.name());
    let file = scenario.file("somebody");
    std::fs::write(&file, "somebody")?;
    scenario.database()?.run(&format!(
        "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN END $$;
         ALTER ROLE {role} LOGIN {attributes} PASSWORD 'somebody'"
    ))?;
    let file = file.display().to_string();
    scenario.command(&["migrate", "--user", &role, "--password-file", &file])
}

const OWNER: &str = "connect with --user as the owner";

#[test]
fn migrate_as_a_role_that_may_not_says_who_may_and_changes_nothing() -> Outcome {
    let scenario = Setup::new("may_not").without_migration().start()?;
    let before = dump(&scenario)?;
    let ended = as_somebody(&scenario, "")?;
    ended.must_refuse("migration_refused", &["42501", OWNER])?;
    ended.must_not_say(&PROMISES)?;
    same(&before, &dump(&scenario)?)
}

#[test]
fn migrate_as_an_owner_who_may_not_make_roles_says_so_and_can_be_repeated_by_one_who_may() -> Outcome {
    let scenario = Setup::new("half_way").without_migration().start()?;
    let (name, database) = (scenario.name(), scenario.database()?);
    as_somebody(&scenario, "")?.must(1, &[])?;
    database.run(&format!("ALTER DATABASE {name} OWNER TO {name}_operator"))?;
    as_somebody(&scenario, "")?.must_refuse("migration_refused", &["applied V2", "42501", OWNER])?;
    migrate(&scenario, &[])?.must(0, &["are as configured"])
}

#[test]
fn migrate_as_a_role_to_whom_the_relays_schema_does_not_belong_says_what_the_server_said() -> Outcome {
    let scenario = Setup::new("not_owner").without_slot().start()?;
    let name = scenario.name();
    let grant = format!("GRANT CREATE ON DATABASE {name} TO {name}_operator");
    scenario.database()?.run(&grant)?;
    as_somebody(&scenario, "")?.must_refuse(
        "migration_refused",
        &["permission denied for schema outbox_relay", OWNER],
    )
}

#[test]
fn a_superuser_alone_can_see_whether_the_relays_role_has_a_password() -> Outcome {
    let scenario = Setup::new("cannot_see").without_slot().start()?;
    let (name, database) = (scenario.name(), scenario.database()?);
    database.run(&format!(
        "ALTER SCHEMA outbox_relay OWNER TO {name}_operator; GRANT CREATE ON DATABASE {name} TO {name}_operator;
         ALTER TABLE public.outbox OWNER TO {name}_operator;
         GRANT USAGE ON SCHEMA public TO {name}_operator WITH GRANT OPTION;
         DO $$ DECLARE ours regclass; doing regprocedure; BEGIN
             FOR ours IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'outbox_relay'::regnamespace LOOP
                 EXECUTE format('ALTER TABLE %s OWNER TO {name}_operator', ours);
             END LOOP;
             FOR doing IN SELECT oid FROM pg_proc WHERE pronamespace = 'outbox_relay'::regnamespace LOOP
                 EXECUTE format('ALTER ROUTINE %s OWNER TO {name}_operator', doing);
             END LOOP;
         END $$"
    ))?;
    as_somebody(&scenario, "")?.must(0, &["only a superuser can see", "--set-password"])
}

#[test]
fn a_table_of_ones_own_has_to_be_there_before_migrate_and_that_is_said() -> Outcome {
    let setup = Setup::new("own_table").set("outbox.default.preset", "debezium");
    let scenario = setup.without_migration().start()?;
    let ended = migrate(&scenario, &[])?;
    ended.must_refuse("migration_refused", &["42P01", "make the table before"])?;
    ended.must_not_say(&["outbox-relay migrate"])
}

/// As two pods do that run it before they start.
#[test]
fn migrations_that_run_at_the_same_time_all_succeed() -> Outcome {
    let mut scenario = Setup::new("together").without_migration().start()?;
    scenario.command(&["config"])?.must(0, &[])?;
    let (config, file) = (scenario.file("relay.toml"), scenario.file("superuser"));
    let file = file.display().to_string();
    let arguments = [
        "migrate",
        "--user",
        "postgres",
        "--password-file",
        &file,
        "--set-password",
    ];
    let together: Outcome<Vec<Ended>> = thread::scope(|scope| {
        let running: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&config, &arguments))).collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|ended| ended.map_err(|_| Failure::new("a thread panicked"))?)
            .collect()
    });
    for ended in together? {
        ended.must(0, &["are as configured"])?;
    }
    scenario.create_slot()?;
    let relay = scenario.streaming_relay()?;
    let mut writer = Writer::connect(scenario.writer()?)?;
    writer.write(10)?;
    scenario.verify(&relay, &writer.into_history()).map(drop)
}

#[test]
fn a_migration_that_waits_for_another_says_so() -> Outcome {
    let scenario = Setup::new("takes_turns").without_slot().start()?;
    let (config, file) = (scenario.file("relay.toml"), scenario.file("superuser"));
    let file = file.display().to_string();
    let other = scenario.database()?;
    other.run("SELECT pg_advisory_lock(hashtext('outbox_relay'), hashtext('migrate'))")?;
    let ended = thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&config, &["migrate", "--user", "postgres", "--password-file", &file]));
        let is_waited_for = wait_for("migrate to wait", || {
            let waiting = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            match other.text(waiting, &[]) {
                Ok(Some(count)) if count == "1" => Ok(()),
                counted => Err(format!("{counted:?}")),
            }
        });
        other.run("SELECT pg_advisory_unlock_all()")?;
        is_waited_for?;
        waiting.join().map_err(|_| Failure::new("a thread panicked"))?
    })?;
    ended.must(0, &["waiting for another migrate", "are as configured"])?;
    migrate(&scenario, &[])?.must_not_say(&["waiting"])
}

#[test]
fn a_published_table_that_no_outbox_is_mapped_to_is_warned_of() -> Outcome {
    let scenario = Setup::new("warned_of").without_slot().start()?;
    migrate(&scenario, &[])?.must_not_say(&["warning"])?;
    let name = scenario.name();
    let add = format!("CREATE TABLE public.other (id int); ALTER PUBLICATION {name} ADD TABLE public.other");
    scenario.database()?.run(&add)?;
    let said = [
        "warning",
        "holds table public.other, and no outbox is mapped to it",
        "code: table_not_mapped",
    ];
    migrate(&scenario, &[])?.must(0, &said)
}

/// As in a job that prepares the database, where no secret of Kafka's is mounted.
#[test]
fn the_database_is_prepared_where_nothing_of_kafka_is_known() -> Outcome {
    let mut scenario = Setup::new("no_kafka").without_migration().start()?;
    scenario.settings.remove("kafka.bootstrap_servers");
    scenario
        .settings
        .set("kafka.property_files.\"sasl.password\"", "/no/such/file");
    printed(&scenario, &[])?;
    migrate(&scenario, &["--set-password"])?.must(0, &["are as configured"])?;
    scenario.command(&["slot", "create"])?.must(0, &["starts at"])?;
    scenario.command(&["slot", "show"])?.must(0, &["in use:"])?;
    let said = ["kafka.bootstrap_servers", "/no/such/file"];
    scenario.command(&["run"])?.must_refuse("configuration_wrong", &said)?;
    scenario.settings.set("kafka.bootstrap_server", "b:9092");
    scenario
        .command(&["slot", "show"])?
        .must_refuse("configuration_wrong", &["did you mean"])
}

#[test]
fn whoever_ran_the_script_and_keeps_the_session_holds_up_nobody() -> Outcome {
    let scenario = Setup::new("script_lock").without_migration().start()?;
    let held =
        "SELECT 'locks held: ' || count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();\n";
    psql(&scenario, &(printed(&scenario, &[])? + held))?.must(0, &["locks held: 0"])
}
